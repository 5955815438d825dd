"""A user's project in strict types; it writes its files to the current folder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

import minigrad
from minigrad import (
    Add,
    Callback,
    Dense,
    EarlyStopping,
    Input,
    Layer,
    Loss,
    Model,
    MSELoss,
    Optimizer,
    Parameter,
    Residual,
    Sequential,
    check_gradients,
    check_layer,
    register,
)
from minigrad.typing import RNG, Array, Shape, Trainer


@register
class Scale(Layer):
    """h = f x, with a factor for each feature."""

    def __init__(self, *, start: float = 1.0, name: str = "") -> None:
        super().__init__(name=name)
        self.start = start

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        self.factor = Parameter(np.full(input_shape, self.start))
        return input_shape

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        if training:
            self.cache = x
        return x * self.factor.value

    @override
    def backward(self, delta: Array) -> Array:
        x: Array = self.cache
        self.factor.grad = (delta * x).sum(axis=0)
        return delta * self.factor.value


@register
class Product(Layer):
    """h = a b, of two inputs."""

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        shape: Shape = input_shape[0]
        return shape

    @override
    def forward(self, a: Array, b: Array, *, training: bool = True) -> Array:
        if training:
            self.cache = a, b
        return a * b

    @override
    def backward(self, delta: Array) -> tuple[Array, Array]:
        a: Array
        b: Array
        a, b = self.cache
        return delta * b, delta * a


class LogCosh(Loss):
    """log cosh of the error."""

    @override
    def terms(self, prediction: Array, target: NDArray[Any]) -> tuple[Array, Array]:
        error: Array = prediction - target
        return np.log(np.cosh(error)), np.tanh(error)


class SignDescent(Optimizer):
    """theta <- theta - eta sign(g)."""

    @override
    def update(self, value: Array, grad: Array, state: dict[str, Array]) -> None:
        value -= self.rate * np.sign(grad)


class Best(Callback):
    """Remembers the lowest loss."""

    def __init__(self) -> None:
        self.loss = np.inf

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self.loss = min(self.loss, logs["loss"])
        trainer.stop = self.loss < 1e-6


def worst_error(target: NDArray[Any], prediction: Array) -> float:
    return float(np.abs(target - prediction).max())


def schedule(step: int) -> float:
    return 0.1 / (1 + step)


def print_epoch(epoch: int, logs: dict[str, float]) -> None:
    print(epoch, logs["loss"])


def train() -> float:
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(64, 2))
    y = x.sum(axis=1)

    model = Sequential([Dense(3, activation="tanh"), Scale(), Dense(1)], input_shape=(2,), rng=rng)
    prediction = model.forward(x)
    loss = MSELoss(reduction="sum", scale=0.5)
    j: float = loss.forward(prediction, y)
    model.backward(loss.backward())
    SignDescent(learning_rate=schedule).step(model.parameters)

    best = Best()
    model.compile(
        optimizer=SignDescent(learning_rate=0.01), loss=LogCosh(), metrics=["mae", worst_error]
    )
    history = model.fit(
        x,
        y,
        epochs=3,
        batch_size=None,
        validation_data=(x, y),
        callbacks=[best, print_epoch, EarlyStopping(monitor="val_loss", patience=5)],
        verbose=0,
    )
    losses: list[float] = history["loss"]
    scores: dict[str, float] = model.evaluate(x, y)
    predicted: Array = model.predict(x)
    assert predicted.shape == (64, 1)
    model.explain(x[:1], y[:1]).to_html("explanation.html")
    diagnosis = model.diagnose(x, y)
    print(diagnosis, [finding.title for finding in diagnosis])
    model.film(x, y, epochs=1, frames=2, verbose=0).to_html("film.html")
    model.summary()
    model.save("net.safetensors")
    loaded = minigrad.load(
        "net.safetensors",
        custom_objects={"LogCosh": LogCosh, "SignDescent": SignDescent, "worst_error": worst_error},
    )
    assert np.array_equal(loaded.predict(x), model.predict(x))
    assert check_layer(Scale(), (3,)).passed
    assert check_layer(Product(), ((3,), (3,))).passed
    assert check_gradients(model, x[:5], y[:5], loss).passed
    for name, parameter in model.named_parameters():
        print(name, parameter.value.shape, parameter.trainable)
    return j + losses[-1] + scores["mae"]


def graph() -> dict[str, Array]:
    a, b = Input((2,), name="a"), Input((2,), name="b")
    h = Product()(Dense(4)(a), Dense(4)(b))
    both = Add()(h, Residual([Dense(4, activation="relu")])(h))
    model = Model(inputs=[a, b], outputs={"price": Dense(1)(both), "size": Dense(1)(h)}, rng=0)
    model.compile(optimizer="adam", loss={"price": "mse", "size": MSELoss(scale=0.1)})
    rows = {"a": np.ones((8, 2)), "b": np.zeros((8, 2))}
    targets = {"price": np.ones(8), "size": np.zeros(8)}
    model.fit(rows, targets, epochs=2, verbose=0)
    found: dict[str, Array] = model.predict(rows)
    return found


if __name__ == "__main__":
    assert np.isfinite(train())
    assert graph()["price"].shape == (8, 1)
