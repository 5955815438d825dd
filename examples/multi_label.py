"""Several labels per row, most of them rare: pos_weight, and metrics that show what it does."""

import numpy as np

from minigrad import Adam, BCEWithLogitsLoss, Dense, EarlyStopping, ReLU, Sequential, sigmoid
from minigrad.metrics import f1, recall

EPOCHS = 40
ROWS = 6000

rng = np.random.default_rng(0)
x = rng.normal(size=(ROWS, 10))
# Each label holds where its score is high; the shares are 30 %, 10 % and 2 %.
scores = np.tanh(x @ rng.normal(size=(10, 8))) @ rng.normal(size=(8, 3))
scores += rng.normal(scale=0.5, size=scores.shape)
y = scores > [np.quantile(scores[:, k], 1 - share) for k, share in enumerate((0.3, 0.1, 0.02))]
y = y.astype(int)
x_train, x_test, y_train, y_test = x[: ROWS // 2], x[ROWS // 2 :], y[: ROWS // 2], y[ROWS // 2 :]

found, recalls = {}, {}
for name, pos_weight in ("plain", 1.0), ("pos_weight", (1 - y_train).sum(0) / y_train.sum(0)):
    model = Sequential([Dense(32), ReLU(), Dense(3)], input_shape=(10,), rng=0)
    model.compile(
        optimizer=Adam(learning_rate=0.01),
        loss=BCEWithLogitsLoss(pos_weight=pos_weight),
        metrics=["binary_accuracy", "f1", "micro_f1", "roc_auc", "pr_auc"],
    )
    stopping = EarlyStopping(monitor="val_loss", patience=5)
    model.fit(
        x_train, y_train, epochs=EPOCHS, validation_split=0.2, callbacks=[stopping], verbose=0
    )
    found[name] = model.evaluate(x_test, y_test)
    recalls[name] = recall(y_test, model.predict(x_test), threshold=0, labels="each")
    print(name, {metric: round(value, 3) for metric, value in found[name].items()})
    print("recall of each label", recalls[name].round(3))

# The threshold of each label that is best on the training rows, with the last model.
p, p_test = sigmoid(model.predict(x_train)), sigmoid(model.predict(x_test))
grid = np.linspace(0.05, 0.95, 19)
best = [grid[np.argmax([f1(y_train[:, k], p[:, k], threshold=t) for t in grid])] for k in range(3)]
tuned = f1(y_test, (p_test > best).astype(float), labels="macro")
print(f"f1 with thresholds {np.round(best, 2)}: {tuned:.3f}")

assert found["plain"]["binary_accuracy"] > 0.9  # with rare labels that says little
assert recalls["pos_weight"][2] > recalls["plain"][2] + 0.2
assert tuned > found["pos_weight"]["f1"]
