"""A tiny GPT adds two numbers of two digits: it answers all questions that it hasn't seen.

A transformer of one block, made of parts: a causal attention, then a small network at each
position, each with a layer norm before it and a shortcut around it (Radford et al., Language models
are unsupervised multitask learners, 2019). With a file name, its attention is drawn:
python examples/tiny_gpt.py attention.svg
"""

import sys

import numpy as np

from minigrad import (
    GELU,
    Adam,
    CosineDecay,
    CrossEntropyLoss,
    Dense,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    PositionEmbedding,
    Residual,
    Sequential,
)

EPOCHS = 15
TOKENS = "0123456789+="
QUESTION = 6  # the tokens of "57+68="

# All pairs of numbers. The last digit of the sum comes first, as in addition by hand: "57+68=521".
texts = [f"{a:02}+{b:02}=" + f"{a + b:03}"[::-1] for a in range(100) for b in range(100)]
ids = np.array([[TOKENS.index(token) for token in text] for text in texts])
ids = np.random.default_rng(0).permutation(ids)
train, test = ids[:8000], ids[8000:]

attention = MultiHeadAttention(4, causal=True)
layers = [
    Embedding(len(TOKENS), 32),
    PositionEmbedding(),
    Residual([LayerNorm(name="norm"), attention], name="attention"),
    Residual([LayerNorm(), Dense(128), GELU(), Dense(32)]),
    LayerNorm(),
    Dense(len(TOKENS)),
]
model = Sequential(layers, input_shape=(ids.shape[1] - 1,), rng=0, dtype="float32")

# Each position predicts the next token. Only the tokens of the answer count in the loss: those of
# the question are random.
counts = np.zeros(train[:, 1:].shape)
counts[:, QUESTION - 1 :] = 1
rate = CosineDecay(initial_learning_rate=0.01, decay_steps=EPOCHS * len(train) // 64)
model.compile(optimizer=Adam(learning_rate=rate, clip_norm=1.0), loss=CrossEntropyLoss())
x, y = train[:, :-1], train[:, 1:]
model.fit(x, y, sample_weight=counts, epochs=EPOCHS, batch_size=64, verbose=0)

# The likeliest token at each step is the input of the next.
answers = test.copy()
answers[:, QUESTION:] = 0
for t in range(QUESTION, answers.shape[1]):
    answers[:, t] = model.predict(answers[:, :-1])[:, t - 1].argmax(axis=1)
correct = (answers == test).all(axis=1).mean()
print(f"{correct:.2%} of {len(test)} new questions are answered correctly, such as")
for row in answers[:3]:
    text = "".join(TOKENS[token] for token in row)
    print(text[:QUESTION] + text[: QUESTION - 1 : -1])

if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    row = answers[:1, :-1]
    norm = model.activations(row)["attention.chain_1.norm"]
    figure = Figure(figsize=(12, 2), layout="constrained")
    axes = figure.subplots(1, attention.num_heads)
    for head, weights in enumerate(attention.attention_weights(norm)[0]):
        axes[head].imshow(weights[QUESTION - 1 :], cmap="Blues", vmin=0, vmax=1)
        axes[head].set_xticks(range(row.shape[1]), [TOKENS[token] for token in row[0]])
        axes[head].set_yticks(range(3), [TOKENS[token] for token in answers[0, QUESTION:]])
        axes[head].set_title(f"head {head + 1}")
    figure.supylabel("writes")
    figure.supxlabel("attends to")
    figure.savefig(sys.argv[1])
    print(f"the attention of each head: {sys.argv[1]}")

assert correct > 0.99
