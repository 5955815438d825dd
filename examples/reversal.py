"""An encoder and a decoder with attention write a word backwards: all new words are exact.

The decoder attends to the letters of the word, and a mask hides the padding: Bahdanau, Cho and
Bengio, Neural machine translation by jointly learning to align and translate, 2015. With a file
name, its attention is drawn: python examples/reversal.py attention.svg
"""

import sys
from typing import Any

import numpy as np

from minigrad import (
    GRU,
    Adam,
    Bidirectional,
    Concatenate,
    CosineDecay,
    CrossEntropyLoss,
    Dense,
    Embedding,
    Input,
    Model,
    MultiHeadAttention,
)

EPOCHS = 5
ROWS = 10_000
LETTERS = " abcdefghijklmnopqrstuvwxyz"  # a blank is the start, the end and the padding
LONGEST = 10

rng = np.random.default_rng(0)


def words(rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return random words of 3 to 10 letters as inputs, and the same words backwards."""
    lengths = rng.integers(3, LONGEST + 1, size=(rows, 1))
    place = np.arange(LONGEST + 1)
    word = rng.integers(1, len(LETTERS), size=(rows, LONGEST + 1)) * (place < lengths)
    backwards = np.take_along_axis(word, (lengths - 1 - place) % (LONGEST + 1), axis=1)
    so_far = np.insert(backwards[:, :-1], 0, 0, axis=1)  # what the decoder has written before
    return {"word": word, "mask": word > 0, "so_far": so_far}, backwards


# The encoder reads the word in both directions. The decoder reads what it has written so far, and
# attends to the encoder's states; then it chooses the next letter.
inputs = [Input((LONGEST + 1,), name=name) for name in ("word", "mask", "so_far")]
word, mask, so_far = inputs
encoder = Bidirectional(GRU(32, return_sequences=True))(Embedding(len(LETTERS), 32)(word))
decoder = GRU(64, return_sequences=True)(Embedding(len(LETTERS), 32)(so_far))
attention = MultiHeadAttention(1, name="attention")
context = attention(decoder, encoder, mask)
letter = Dense(len(LETTERS))(Concatenate()(decoder, context))
model = Model(inputs=inputs, outputs=letter, rng=0, dtype="float32")

x, y = words(ROWS)
rate = CosineDecay(initial_learning_rate=0.01, decay_steps=EPOCHS * len(y) // 32)
model.compile(optimizer=Adam(learning_rate=rate, clip_norm=1.0), loss=CrossEntropyLoss())
model.fit(x, y, epochs=EPOCHS, verbose=0)

# Write: the likeliest letter at each step is what the decoder reads at the next.
x, y = words(1000)
written = np.zeros_like(y)
for t in range(LONGEST + 1):
    x["so_far"] = np.insert(written[:, :-1], 0, 0, axis=1)
    written[:, t] = model.predict(x)[:, t].argmax(axis=1)
exact = (written == y).all(axis=1).mean()
print(f"{exact:.1%} of {len(y)} new words are exact, such as")
for row in range(3):
    forwards, backwards = ("".join(LETTERS[i] for i in ids[row]) for ids in (x["word"], written))
    print(f"{forwards} {backwards}")

if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    first: Any = {name: array[:1] for name, array in x.items()}
    states = model.activations(first)
    query, value = states["gru_1"], states["bidirectional_1"]
    weights = attention.attention_weights(query, value, first["mask"])[0, 0]
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(LONGEST + 1), [LETTERS[i] for i in x["word"][0]])
    axes.set_yticks(range(LONGEST + 1), [LETTERS[i] for i in written[0]])
    axes.set(xlabel="attends to", ylabel="writes")
    figure.savefig(sys.argv[1])
    print(f"the attention of the first word: {sys.argv[1]}")

assert exact > 0.99
