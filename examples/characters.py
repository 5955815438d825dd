"""A GRU reads this library's documentation character by character, and then writes like it.

It learns to predict the next character, and reaches 2.4 bits for each character of pages that it
hasn't read. It writes with the pure `step` of its layer, one character at a time.
"""

from pathlib import Path

import numpy as np

from minigrad import GRU, Adam, CosineDecay, CrossEntropyLoss, Dense, Embedding, Sequential, softmax

EPOCHS = 20
STEPS = 64  # the characters of a row

folder = Path(__file__).parent.parent
pages = [folder / "README.md", *sorted(folder.glob("docs/*/*.md"))]
text = "\n\n".join(page.read_text(encoding="utf-8") for page in pages)
characters = sorted(set(text))
ids = np.array([characters.index(character) for character in text])


def rows(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of characters, and the next character for each."""
    end = len(ids) - (len(ids) - 1) % STEPS
    return ids[: end - 1].reshape(-1, STEPS), ids[1:end].reshape(-1, STEPS)


embedding, gru, output = Embedding(len(characters), 32), GRU(192, return_sequences=True), Dense(len(characters))
model = Sequential([embedding, gru, output], input_shape=(None,), rng=0, dtype="float32")

train, test = rows(ids[: -len(ids) // 10]), rows(ids[-len(ids) // 10 :])
rate = CosineDecay(initial_learning_rate=0.01, decay_steps=EPOCHS * len(train[0]) // 32)
model.compile(optimizer=Adam(learning_rate=rate, clip_norm=1.0), loss=CrossEntropyLoss())
print(model.fit(*train, epochs=EPOCHS, verbose=0, validation_data=test)["val_loss"])

bits = model.evaluate(*test)["loss"] / np.log(2)
print(f"{bits:.2f} bits for each character of new pages")

# Write: draw each character from the predicted probabilities, and pass the state on.
rng = np.random.default_rng(0)
written, state = "The ", None
for character in written:
    h, state = gru.step(embedding.forward(np.array([characters.index(character)]), training=False), state)
for _ in range(300):
    p = softmax(output.forward(h, training=False)[0].astype(float)*1.5)
    drawn = rng.choice(len(characters), p=p)
    written += characters[drawn]
    h, state = gru.step(embedding.forward(np.array([drawn]), training=False), state)
print(written)
