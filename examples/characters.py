"""A GRU reads this library's documentation one character at a time, and then writes like it.

It learns to predict the next character. On text that it hasn't read it needs 2.1 bits for each. To
write, it draws a character from its prediction and reads it: `step` takes and returns the state.
"""

from pathlib import Path

import numpy as np

from minigrad import GRU, Adam, CosineDecay, CrossEntropyLoss, Dense, Embedding, Sequential, softmax

EPOCHS = 15
LENGTH = 64  # the characters of a row

folder = Path(__file__).parent.parent
pages = [folder / "README.md", *sorted(folder.glob("docs/*/*.md"))]
text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
characters = sorted(set(text))
ids = np.array([characters.index(character) for character in text])

# Rows of characters, and the next character for each. Every tenth row is for the test.
count = (len(ids) - 1) // LENGTH
x = ids[: count * LENGTH].reshape(count, LENGTH)
y = ids[1 : count * LENGTH + 1].reshape(count, LENGTH)
held_out = np.arange(count) % 10 == 0

embedding = Embedding(len(characters), 32)
gru = GRU(128, return_sequences=True)
output = Dense(len(characters))
model = Sequential([embedding, gru, output], input_shape=(None,), rng=0, dtype="float32")

rate = CosineDecay(initial_learning_rate=0.01, decay_steps=EPOCHS * (count - sum(held_out)) // 32)
model.compile(optimizer=Adam(learning_rate=rate, clip_norm=1.0), loss=CrossEntropyLoss())
model.fit(x[~held_out], y[~held_out], epochs=EPOCHS, verbose=0)

bits = model.evaluate(x[held_out], y[held_out])["loss"] / np.log(2)
print(f"{bits:.2f} bits for each of {held_out.sum() * LENGTH} characters that it hasn't read")

# Powers of the probabilities, here 1.5, make likely characters likelier.
rng = np.random.default_rng(0)
written, state = "The ", None
for position in range(400):
    vector = embedding.forward(np.array([[characters.index(written[position])]]), training=False)
    h, state = gru.step(vector[:, 0], state)
    if position == len(written) - 1:
        z = output.forward(h[:, np.newaxis], training=False)[0, 0]
        p = softmax(1.5 * z.astype("float64"))
        written += rng.choice(characters, p=p)
print(written)

assert bits < 2.3
