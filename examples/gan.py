"""A generative adversarial network draws points on a ring, from noise.

The generator makes points, the discriminator tells them from real ones, and the two train in turn
with `train_on_batch`: Goodfellow et al., Generative adversarial nets, 2014. The generator maximizes
log D, as in section 3 there.
"""

import numpy as np

from minigrad import Adam, BCEWithLogitsLoss, Dense, LeakyReLU, Sequential

EPOCHS = 15
STEPS = 100  # an epoch
ROWS = 64
NOISE = 4

rng = np.random.default_rng(0)
generator = Sequential(
    [Dense(32, "relu"), Dense(32, "relu"), Dense(2)], input_shape=(NOISE,), rng=0, dtype="float32"
)
discriminator = Sequential(
    [Dense(64), LeakyReLU(), Dense(64), LeakyReLU(), Dense(1)],
    input_shape=(2,),
    rng=1,
    dtype="float32",
)
both = Sequential([generator, discriminator], input_shape=(NOISE,), dtype="float32")
for model in (discriminator, both):
    optimizer = Adam(learning_rate=1e-3, beta_1=0.5)
    model.compile(optimizer=optimizer, loss=BCEWithLogitsLoss())


def ring(rows: int) -> np.ndarray:
    """Return points on a circle of radius 1, with some spread."""
    angle = rng.uniform(0, 2 * np.pi, rows)
    radius = rng.normal(1, 0.05, rows)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


ones, zeros = np.ones(ROWS), np.zeros(ROWS)
for step in range(1, EPOCHS * STEPS + 1):
    points = generator.predict(rng.normal(size=(ROWS, NOISE)))
    discriminator.trainable = True
    real = discriminator.train_on_batch(ring(ROWS), ones)
    made = discriminator.train_on_batch(points, zeros)
    discriminator.trainable = False  # the generator's step changes the generator alone
    fooled = both.train_on_batch(rng.normal(size=(ROWS, NOISE)), ones)
    if step % 500 == 0:
        print(f"step {step}: loss of D {(real + made) / 2:.3f}, of G {fooled:.3f}")

points = generator.predict(rng.normal(size=(2000, NOISE)))
radius = np.hypot(*points.T)
angles = np.histogram(np.arctan2(points[:, 1], points[:, 0]), bins=8, range=(-np.pi, np.pi))[0]
print(f"radius {radius.mean():.3f}, its spread {radius.std():.3f}, center {points.mean(axis=0)}")
print("points in each eighth of the ring:", angles)
assert abs(radius.mean() - 1) < 0.1
assert angles.min() > 100
