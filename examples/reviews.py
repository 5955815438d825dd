"""Classify sequences of different lengths, padded to one array, with masks.

A sequence is good if it has more words of the first half of the vocabulary than of the second. The
mask keeps the padding out of the LSTM and of the mean.
"""

import numpy as np

from minigrad import (
    LSTM,
    Adam,
    Bidirectional,
    Dense,
    Embedding,
    GlobalAveragePooling1D,
    Input,
    Mask,
    Model,
    pad_sequences,
)

EPOCHS = 6
ROWS = 1500

rng = np.random.default_rng(0)
words = [rng.integers(1, 21, size=length) for length in 2 * rng.integers(1, 8, size=ROWS) + 1]
good = np.array([(sequence <= 10).mean() > 0.5 for sequence in words])
x, _ = pad_sequences(words)
x_train, x_test = np.split(x, [ROWS * 4 // 5])
good_train, good_test = np.split(good, [ROWS * 4 // 5])

ids = Input((None,), name="words")
mask = Mask(0)(ids)
h = Embedding(21, 8)(ids)
h = Bidirectional(LSTM(8, return_sequences=True))(h, mask)
h = GlobalAveragePooling1D()(h, mask)
model = Model(inputs=ids, outputs=Dense(1)(h), rng=0)
model.compile(optimizer=Adam(learning_rate=0.01), loss="bce_with_logits", metrics=["accuracy"])
model.fit(x_train, good_train, epochs=EPOCHS, verbose=0)

accuracy = model.evaluate(x_test, good_test)["accuracy"]
print(f"accuracy on new sequences: {accuracy:.1%}")
longer = np.pad(x_test, ((0, 0), (0, 5)))
difference = np.abs(model.predict(longer) - model.predict(x_test)).max()
print(f"largest difference with five more steps of padding: {difference:.1g}")
assert accuracy > 0.95
assert difference < 1e-12
