"""The trial of `diagnose`: faults planted in set-ups that learn, and those set-ups themselves.

    python -m benchmarks.doctor [--quick] [--save]

Each set-up is drawn from a seed: data, network, loss, optimizer and batch size. It is healthy if a
plain `fit` learns with the rows in two orders; others are drawn again. Each fault changes a healthy
set-up. If harm isn't certain, as of a high learning rate, a fault counts only if `fit` then learns
less than half.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from benchmarks.report import table
from minigrad import Activation, Dense, Layer, Parameter, Sequential

Numbers: TypeAlias = NDArray[Any]
RNG: TypeAlias = np.random.Generator

Case: TypeAlias = tuple[str, str, list[tuple[str, str]], float, str]
"""A fault or "", its set-up, the kinds and severities found, the CPU seconds, and the text."""

RESULTS = Path(__file__).parent / "doctor.json"
PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "diagnose.md"
START, END = "<!-- doctor -->", "<!-- end of doctor -->"
ROWS = 400  # of a data set at most
STEPS = 500  # of the training that shows whether a set-up learns
HARM = 0.5  # a fault is planted if fit learns at most this share of what it learned before


# The data


@dataclass(frozen=True)
class Data:
    """Rows, their task, and the skill (see `skill`) that a healthy fit reaches."""

    x: Numbers
    y: Numbers
    task: str
    goal: float = 0.6


def load(arrays: Any, task: str, goal: float = 0.6) -> Data:
    """Return data as scikit-learn gives them."""
    x, y = arrays
    return Data(x, y, task, goal)


@cache
def data_sets() -> dict[str, Data]:
    """Return all data sets, with inputs and quantities standardized."""
    from sklearn import datasets

    rng = np.random.default_rng(0)
    x, line, angle = rng.normal(size=(400, 5)), rng.uniform(-3, 3, (300, 1)), rng.normal(size=400)
    plane = rng.uniform(-1.5, 1.5, (400, 2))
    centers = 2.5 * rng.normal(size=(6, 4))
    blob = rng.integers(0, 6, 400)
    sets = {
        "diabetes": load(datasets.load_diabetes(return_X_y=True), "quantity", 0.35),
        "linear": Data(x, x @ [1, -1, 0.5, 0, 2] + 0.3 * angle, "quantity"),
        "sine": Data(line, np.sin(1.3 * line[:, 0]), "quantity"),
        "surface": Data(x[:, :2], np.sin(x[:, 0]) + x[:, 1] ** 2, "quantity"),
        "iris": load(datasets.load_iris(return_X_y=True), "classes"),
        "wine": load(datasets.load_wine(return_X_y=True), "classes"),
        "digits": load(datasets.load_digits(return_X_y=True), "classes"),
        "blobs": Data(centers[blob] + rng.normal(size=(400, 4)), blob, "classes"),
        "cancer": load(datasets.load_breast_cancer(return_X_y=True), "labels"),
        "moons": load(datasets.make_moons(400, noise=0.15, random_state=0), "labels"),
        "circles": load(
            datasets.make_circles(400, noise=0.08, factor=0.5, random_state=0), "labels"
        ),
        "xor": Data(plane, (plane[:, 0] * plane[:, 1] > 0).astype(int), "labels"),
    }
    for name, data in sets.items():
        x, y = data.x[:ROWS], data.y[:ROWS]
        y = standardized(y) if data.task == "quantity" else y
        sets[name] = replace(data, x=standardized(x), y=y)
    sets["iris in cm"] = load(datasets.load_iris(return_X_y=True), "classes")
    return sets


def standardized(a: Numbers) -> Numbers:
    """Return columns of mean 0 and deviation 1; a constant one becomes 0."""
    deviation = a.std(axis=0)
    return np.asarray((a - a.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0))


# Custom layers as users write them, right or with a mistake


class MyDense(Layer):
    """A dense layer of a user."""

    mistake = ""

    def __init__(self, units: int, *, name: str = "") -> None:
        super().__init__(name=name)
        self.units = units

    def build(self, input_shape: Any, rng: Any) -> Any:
        """Draw the weights."""
        (inputs,) = input_shape
        self.weight = Parameter(rng.normal(size=(inputs, self.units)) / math.sqrt(inputs))
        self.bias = Parameter(np.zeros(self.units))
        return (self.units,)

    def forward(self, x: Any, *, training: bool = True) -> Any:
        """Return x W + b."""
        if training:
            self.cache = x
        return x @ self.weight.value + self.bias.value

    def backward(self, delta: Any) -> Any:
        """Assign dJ/dW and dJ/db, and return dJ/dx, each with its mistake."""
        wrong = self.mistake
        self.weight.grad = self.cache.T @ delta * {"factor": 2.0, "sign": -1.0}.get(wrong, 1.0)
        self.bias.grad = delta.sum(axis=0) * (0.0 if wrong == "missing" else 1.0)
        if wrong == "mean":
            self.bias.grad = delta.mean(axis=0)
        weight = self.weight.value
        return delta @ (weight if wrong == "transposed" else weight.T)


class MyTanh(Activation):
    """A tanh of a user."""

    mistake = ""

    def function(self, z: Any) -> Any:
        """Return tanh(z)."""
        return np.tanh(z)

    def derivative(self, z: Any) -> Any:
        """Return 1 - tanh(z)^2, or a mistake."""
        a = np.tanh(z)
        return {"": 1 - a**2, "term": 1 - a, "slope": 1 - z**2}[self.mistake]


class MyReLU(Activation):
    """A ReLU of a user."""

    def function(self, z: Any) -> Any:
        """Return max(z, 0)."""
        return np.maximum(z, 0)

    def derivative(self, z: Any) -> Any:
        """Return 1 where z > 0."""
        return (z > 0).astype(z.dtype)


# The set-ups

ACTIVATIONS: list[Callable[[], Layer]] = [
    mg.Tanh, mg.ReLU, mg.LeakyReLU, mg.GELU, mg.SiLU, mg.ELU, mg.Sigmoid, MyTanh, MyReLU,
]  # fmt: skip
OPTIMIZERS: list[tuple[Callable[..., mg.Optimizer], dict[str, Any], float, float]] = [
    (mg.SGD, {}, 0.03, 0.3),
    (mg.SGD, {"momentum": 0.9}, 0.005, 0.05),
    (mg.SGD, {"momentum": 0.9, "nesterov": True}, 0.005, 0.05),
    (mg.Adam, {}, 1e-3, 1e-2),
    (mg.AdamW, {}, 1e-3, 1e-2),
    (mg.RMSprop, {}, 1e-3, 5e-3),
    (mg.Adagrad, {}, 0.01, 0.1),
]


@dataclass
class Setup:
    """All that `fit` needs; `hidden` and `last` are layers that aren't built."""

    seed: int
    name: str
    data: Data
    hidden: list[Layer]
    last: list[Layer]
    loss: mg.Loss
    optimizer: mg.Optimizer
    batch_size: int | None
    dtype: str
    skill: float = 0.0
    frozen: tuple[int, ...] = field(default=())
    """The layers to freeze, by position."""
    trained: Setup | None = None
    """The set-up whose training, of as many steps, comes before."""
    held: tuple[Numbers, Numbers] | None = None
    """The validation rows."""

    def model(self) -> Sequential:
        """Return the compiled model."""
        if self.trained is None:
            layers = copy.deepcopy([*self.hidden, *self.last])
            shape = self.data.x.shape[1:]
            model = Sequential(layers, input_shape=shape, rng=self.seed, dtype=self.dtype)
        else:
            model = self.trained.model()
            self.trained.fit(model)
        for place in self.frozen:
            model.layers[place].trainable = False
        model.compile(optimizer=copy.deepcopy(self.optimizer), loss=self.loss)
        return model

    def fit(self, model: Sequential) -> mg.History:
        """Train the model for about `STEPS` steps."""
        x, y = self.data.x, self.data.y
        steps = math.ceil(len(x) / (self.batch_size or len(x)))
        epochs = math.ceil(STEPS / steps)
        return model.fit(x, y, epochs=epochs, batch_size=self.batch_size, verbose=0)

    def train(self, order: int | None = None) -> float:
        """Return the skill after a plain `fit`, with the rows in another order if asked."""
        model = self.model()
        if order is not None:
            model.rng = np.random.default_rng(order)
        try:
            self.fit(model)
        except mg.DivergedError:
            return 0.0
        return skill(self, model.predict(self.data.x))

    def examine(self) -> tuple[list[tuple[str, str]], float, str]:
        """Return the kinds and severities found, the CPU seconds, and the text."""
        model = self.model()
        start = time.process_time()
        found = model.diagnose(
            self.data.x, self.data.y, batch_size=self.batch_size, validation_data=self.held
        )
        seconds = time.process_time() - start
        return [(f.kind, f.severity) for f in found], seconds, str(found)

    def __str__(self) -> str:
        layers = ", ".join(map(str, [*self.hidden, *self.last]))
        return (
            f"{self.seed}: {self.name}, [{layers}], {self.loss}, {self.optimizer}, "
            f"batch_size={self.batch_size}, {self.dtype}"
        )


def skill(setup: Setup, prediction: Numbers) -> float:
    """Return 1 if all is right, and 0 for the best constant: R^2, or accuracy so scaled."""
    y = setup.data.y.reshape(len(prediction), -1)
    if setup.data.task == "quantity":
        rest = np.square(prediction - y).mean() / y.var()
        return float(max(0.0, 1 - rest)) if np.isfinite(rest) else 0.0
    if prediction.shape[1] > 1:
        classes = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
        right = prediction.argmax(axis=1) == classes
    else:
        bounded = any(isinstance(layer, mg.Sigmoid) for layer in setup.last)
        classes = (y[:, 0] > 0).astype(int)
        right = (prediction[:, 0] > (0.5 if bounded else 0.0)) == classes
    usual = np.bincount(classes.astype(int)).max() / len(y)
    return float(max(0.0, (right.mean() - usual) / (1 - usual)))


def pick(rng: RNG, options: list[Any]) -> Any:
    """Return one of the options."""
    return options[int(rng.integers(len(options)))]


def log_uniform(rng: RNG, low: float, high: float) -> float:
    """Return a number of two digits between two."""
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.2g}")


def draw(seed: int) -> Setup:
    """Return the set-up of a seed, whether it learns or not."""
    rng = np.random.default_rng(seed)
    name = pick(rng, list(data_sets()))
    data, batch_size = data_sets()[name], pick(rng, [16, 32, 64, 128, None])
    if rng.random() < 0.2:  # inputs from 0 to 1
        spread = np.ptp(data.x, axis=0)
        data = replace(data, x=(data.x - data.x.min(axis=0)) / np.where(spread > 0, spread, 1.0))
    if data.task == "quantity":
        data = replace(data, y=data.y * rng.uniform(0.5, 2.0) + rng.uniform(-1, 1))
    make, options, low, high = pick(rng, OPTIMIZERS)
    optimizer = make(learning_rate=log_uniform(rng, low, high), **options)
    data, last, loss = task(rng, data)
    dtype, frozen = pick(rng, ["float32", "float64"]), (0,) if rng.random() < 0.08 else ()
    layers = hidden(rng, batch_size)
    return Setup(seed, name, data, layers, last, loss, optimizer, batch_size, dtype, frozen=frozen)


def hidden(rng: RNG, batch_size: int | None) -> list[Layer]:
    """Return one to three blocks of a dense layer, an activation, and sometimes more."""
    activation = pick(rng, ACTIVATIONS)
    steep = activation in (mg.ReLU, mg.LeakyReLU, mg.GELU, mg.SiLU, mg.ELU, MyReLU)
    options: dict[str, Any] = {"weight_initializer": "he_normal"} if steep else {}
    if rng.random() < 0.15:
        options["weight_regularizer"] = mg.L2(1e-4)
    width = pick(rng, [8, 16, 32, 64])
    norm = pick(rng, [mg.BatchNorm, mg.LayerNorm, None, None, None, None])
    dropout = pick(rng, [0.1, 0.2, 0.0, 0.0, 0.0]) if width >= 32 else 0.0
    own = rng.random() < 0.15
    layers: list[Layer] = []
    for depth in range(pick(rng, [1, 1, 2] if activation is mg.Sigmoid else [1, 2, 3])):
        dense = MyDense(width) if own else Dense(width, **options)
        block = [dense, *([norm()] if norm else []), activation()]
        if depth and rng.random() < 0.3:
            block = [mg.Residual(block)]
        layers += block + ([mg.Dropout(dropout)] if dropout else [])
    return layers


def task(rng: RNG, data: Data) -> tuple[Data, list[Layer], mg.Loss]:
    """Return targets in the form of a loss, the last layers, and the loss."""
    if data.task == "quantity":
        return data, [Dense(1)], pick(rng, [mg.MSELoss, mg.MSELoss, mg.L1Loss, mg.HuberLoss])()
    if data.task == "classes":
        count = int(data.y.max()) + 1
        if rng.random() < 0.15:
            one_hot = replace(data, y=np.eye(count)[data.y])
            return one_hot, [Dense(count), mg.Softmax()], mg.MSELoss()
        return data, [Dense(count)], mg.CrossEntropyLoss()
    kind = pick(rng, ["logits", "logits", "probability", "squares", "hinge"])
    if kind == "logits":
        return data, [Dense(1)], mg.BCEWithLogitsLoss()
    if kind == "hinge":
        return replace(data, y=2.0 * data.y - 1), [Dense(1)], mg.HingeLoss()
    return data, [Dense(1), mg.Sigmoid()], (mg.BCELoss if kind == "probability" else mg.MSELoss)()


def healthy(seed: int) -> Setup | None:
    """Return the set-up of a seed if it learns, with the rows in two orders."""
    setup = draw(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skills = [setup.train(order) for order in (None, 1)]
    setup.skill = min(skills)
    return setup if setup.skill >= setup.data.goal else None


def split(setup: Setup, rng: RNG, share: float = 0.75) -> Setup:
    """Return the set-up, trained on some rows, with the others for validation."""
    order = rng.permutation(len(setup.data.x))
    x, y = setup.data.x[order], setup.data.y[order]
    first = round(share * len(x))
    part = with_data(setup, x=x[:first], y=y[:first])
    return replace(part, trained=part, held=(x[first:], y[first:]))


def held_skill(setup: Setup) -> float:
    """Return the skill of the trained model on the validation rows."""
    assert setup.held is not None
    x, y = setup.held
    return skill(with_data(setup, x=x, y=y), setup.model().predict(x))


def generalizing(setup: Setup) -> Setup | None:
    """Return a healthy set-up trained on three quarters of its rows, if it learned the others."""
    changed = split(setup, np.random.default_rng(setup.seed))
    return changed if held_skill(changed) >= setup.data.goal else None


# The faults


@dataclass(frozen=True)
class Fault:
    """A change of a healthy set-up, and the kinds of finding that name it.

    `plant` returns None where the fault doesn't apply. If harm isn't certain, it is verified.
    """

    plant: Callable[[Setup, RNG], Setup | None]
    kinds: tuple[str, ...]
    certain: bool = True


def with_rate(setup: Setup, rate: float) -> Setup:
    """Return the set-up at another learning rate."""
    optimizer = copy.deepcopy(setup.optimizer)
    optimizer.learning_rate = rate
    return replace(setup, optimizer=optimizer)


def rate_too_high(adaptive: bool) -> Callable[[Setup, RNG], Setup | None]:
    """Return what raises the rate, of SGD or of an optimizer that adapts its steps."""

    def plant(setup: Setup, rng: RNG) -> Setup | None:
        if isinstance(setup.optimizer, mg.SGD) == adaptive:
            return None
        factor = log_uniform(rng, 20, 2000)
        return with_rate(setup, setup.optimizer.rate * factor)

    return plant


def rate_too_low(setup: Setup, rng: RNG) -> Setup:
    return with_rate(setup, setup.optimizer.rate * log_uniform(rng, 1e-8, 1e-5))


def unscaled_inputs(setup: Setup, rng: RNG) -> Setup | None:
    if any(isinstance(layer, mg.BatchNorm) for layer in setup.hidden):
        return None
    x = setup.data.x
    factors = np.ones(x.shape[1])
    how = pick(rng, ["large", "offset", "one", "tiny"])
    if how == "one":
        factors[rng.integers(len(factors))] = 1e4
    elif how != "offset":
        factors *= 300.0 if how == "large" else 1e-4
    x = x * factors + (50.0 if how == "offset" else 0.0)
    return with_data(setup, x=x)


def with_data(setup: Setup, **arrays: Any) -> Setup:
    """Return the set-up with other arrays."""
    return replace(setup, data=replace(setup.data, **arrays))


def unscaled_targets(setup: Setup, rng: RNG) -> Setup | None:
    if setup.data.task != "quantity":
        return None
    scale, offset = pick(rng, [(1000.0, 0.0), (1.0, 500.0), (200.0, 3000.0)])
    return with_data(setup, y=scale * setup.data.y + offset)


def targets_out_of_range(setup: Setup, rng: RNG) -> Setup | None:
    if setup.data.task != "quantity":
        return None
    last = [*setup.last, pick(rng, [mg.Sigmoid, mg.Tanh, mg.ReLU])()]
    return with_data(replace(setup, last=last), y=3 * standardized(setup.data.y))


def probability_for_logits(setup: Setup, rng: RNG) -> Setup | None:
    if not isinstance(setup.loss, mg.CrossEntropyLoss | mg.BCEWithLogitsLoss):
        return None
    classes = isinstance(setup.loss, mg.CrossEntropyLoss)
    return replace(setup, last=[*setup.last, mg.Softmax() if classes else mg.Sigmoid()])


def logits_for_probability(setup: Setup, rng: RNG) -> Setup | None:
    if setup.data.task != "labels" or isinstance(setup.loss, mg.HingeLoss):
        return None
    return replace(setup, last=setup.last[:1], loss=mg.BCELoss())


def class_numbers(setup: Setup, rng: RNG) -> Setup | None:
    """A regression on the numbers of ten classes; those of few may be in order by chance."""
    if setup.name != "digits":
        return None
    y = setup.data.y.argmax(axis=1) if setup.data.y.ndim > 1 else setup.data.y
    y = rng.permutation(10)[y].astype(float)
    loss = pick(rng, [mg.MSELoss(), mg.L1Loss()])
    return replace(with_data(setup, y=y), last=[Dense(1)], loss=loss)


def off_by_one(setup: Setup, rng: RNG) -> Setup | None:
    if not isinstance(setup.loss, mg.CrossEntropyLoss):
        return None
    return with_data(setup, y=setup.data.y + 1)


def unrelated(setup: Setup, rng: RNG) -> Setup:
    """Rows of y that belong to other rows of x: shuffled, or shifted by one after a shuffle."""
    order = rng.permutation(len(setup.data.x))
    x, y = setup.data.x[order], setup.data.y[order]
    return with_data(setup, x=x, y=rng.permutation(y) if rng.random() < 0.5 else np.roll(y, 1, 0))


def rebuilt(setup: Setup, **options: Any) -> Setup:
    """Return the set-up with other options of its hidden dense layers."""

    def change(layer: Layer) -> Layer:
        if isinstance(layer, Dense | MyDense):
            return Dense(layer.units, **options)
        return copy.deepcopy(layer)

    return replace(setup, hidden=[change(layer) for layer in setup.hidden])


def plain(setup: Setup) -> bool:
    """Whether each hidden layer stands alone, and none normalizes or drops out."""
    special = (mg.Residual, mg.BatchNorm, mg.LayerNorm, mg.Dropout)
    return not any(isinstance(layer, special) for layer in setup.hidden)


def constant_weights(setup: Setup, rng: RNG) -> Setup | None:
    if not plain(setup):
        return None
    value = mg.Constant(pick(rng, [0.0, 0.0, 0.01, 0.1, 0.5]))
    changed = rebuilt(setup, weight_initializer=value)
    units = setup.last[0].units  # type: ignore[attr-defined]
    return replace(changed, last=[Dense(units, weight_initializer=value), *setup.last[1:]])


def blocks(setup: Setup, depth: int, activation: Callable[[], Layer], **options: Any) -> Setup:
    """Return the set-up with other hidden layers."""
    pairs = [layer for _ in range(depth) for layer in (Dense(32, **options), activation())]
    return replace(setup, hidden=pairs)


def saturated(setup: Setup, rng: RNG) -> Setup:
    activation = pick(rng, [mg.Tanh, mg.Sigmoid, MyTanh])
    size = mg.Normal(scale=log_uniform(rng, 20, 200))
    return blocks(setup, pick(rng, [1, 2]), activation, weight_initializer=size)


def dead(setup: Setup, rng: RNG) -> Setup:
    bias = mg.Constant(-log_uniform(rng, 10, 100))
    activation = pick(rng, [mg.ReLU, MyReLU])
    return blocks(setup, pick(rng, [1, 2]), activation, bias_initializer=bias)


def vanishing(setup: Setup, rng: RNG) -> Setup:
    return blocks(setup, int(rng.integers(7, 12)), mg.Sigmoid)


def exploding(setup: Setup, rng: RNG) -> Setup:
    activation = pick(rng, [mg.ReLU, mg.LeakyReLU])
    return blocks(setup, int(rng.integers(6, 10)), activation, weight_initializer="normal")


def not_finite(setup: Setup, rng: RNG) -> Setup:
    x = setup.data.x.copy()
    x[rng.integers(len(x)), rng.integers(x.shape[1])] = pick(rng, [np.nan, np.inf])
    return with_data(setup, x=x)


def constant_input(setup: Setup, rng: RNG) -> Setup:
    constant = np.full((len(setup.data.x), 1), rng.uniform(0.5, 3))
    return with_data(setup, x=np.column_stack([setup.data.x, constant]))


def constant_target(setup: Setup, rng: RNG) -> Setup:
    y = setup.data.y
    return with_data(setup, y=np.repeat(y[:1], len(y), axis=0))


def linear_stack(setup: Setup, rng: RNG) -> Setup:
    hidden: list[Layer] = [Dense(32) for _ in range(pick(rng, [1, 2, 3]))]
    return replace(setup, hidden=hidden)


def wrong_gradient(setup: Setup, rng: RNG) -> Setup:
    mistake = pick(rng, ["factor", "sign", "missing", "mean", "transposed", "term", "slope"])
    changed: list[Layer] = [MyDense(24), MyTanh(), MyDense(24), MyTanh()]
    for place in (2, 3):
        if not (mistake in ("term", "slope")) ^ (place == 3):
            changed[place].mistake = mistake  # type: ignore[attr-defined]
    return replace(setup, hidden=changed)


def frozen(setup: Setup, rng: RNG) -> Setup:
    """All but the biases of a layer or two are frozen: the last ones, or all."""
    count = len(setup.hidden) + 1
    return replace(
        setup, frozen=pick(rng, [tuple(range(count)), (count - 1,), tuple(range(count - 1))])
    )


def regularized(setup: Setup, rng: RNG) -> Setup:
    kind = pick(rng, [mg.L2, mg.L1])
    return rebuilt(setup, weight_regularizer=kind(log_uniform(rng, 0.3, 10)))


def constant_softmax(setup: Setup, rng: RNG) -> Setup | None:
    """A softmax over one unit, for a loss of probabilities."""
    if setup.data.task != "labels" or isinstance(setup.loss, mg.HingeLoss):
        return None
    loss = pick(rng, [mg.BCELoss(), mg.MSELoss()])
    return replace(setup, last=[setup.last[0], mg.Softmax()], loss=loss)


def rare_class(setup: Setup, rng: RNG) -> Setup | None:
    """Eight rows of one of two classes that overlap, if `fit` predicts it for no row."""
    if setup.data.task != "labels" or isinstance(setup.loss, mg.MSELoss):
        return None
    x, y = setup.data.x, setup.data.y
    rare = y == pick(rng, [y.min(), y.max()])
    kept = np.sort(np.append(np.flatnonzero(rare)[:8], np.flatnonzero(~rare)))
    noisy = x[kept] + rng.normal(size=(len(kept), x.shape[1])) * x.std(axis=0)
    changed = with_data(setup, x=noisy, y=y[kept])
    return None if len(kept) <= 160 or changed.train() else changed


def strong_dropout(setup: Setup, rng: RNG) -> Setup | None:
    if setup.hidden[0].units < 16:  # type: ignore[attr-defined]
        return None
    dropout = mg.Dropout(pick(rng, [0.95, 0.98, 0.99]))
    layers = [layer for layer in setup.hidden if not isinstance(layer, mg.Dropout)]
    return replace(setup, hidden=[*layers, dropout])


def rises_again(setup: Setup, rng: RNG) -> Setup | None:
    """A trained network at a rate of SGD at which J more than doubles and stays there."""
    stochastic = any(isinstance(layer, mg.Dropout) for layer in setup.hidden)
    if stochastic or not isinstance(setup.optimizer, mg.SGD):
        return None
    before = replace(setup, batch_size=None)
    for factor in rng.permutation([3.0, 6.0, 12.0, 24.0]):
        changed = replace(with_rate(before, setup.optimizer.rate * factor), trained=before)
        try:
            course = changed.fit(changed.model())["loss"]
        except mg.DivergedError:
            continue
        if np.min(course[100:]) > 2 * course[0]:
            return changed
    return None


def leaked(setup: Setup, rng: RNG) -> Setup | None:
    """Some rows of the training set among those for validation."""
    changed = split(setup, rng)
    assert changed.held is not None
    (x, y), count = changed.held, int(rng.integers(10, 40))
    x = np.concatenate([x, changed.data.x[:count]])
    return replace(changed, trained=None, held=(x, np.concatenate([y, changed.data.y[:count]])))


def shifted(setup: Setup, rng: RNG) -> Setup | None:
    """Validation rows in another unit, of a later time, or all of one class."""
    changed = split(setup, rng)
    assert changed.held is not None
    x, y = changed.held
    how = pick(rng, ["unit", "offset", "class"])
    if how == "unit":
        x = x * pick(rng, [0.01, 10.0, 255.0])
    elif how == "offset":
        x = x + 3 * changed.data.x.std(axis=0)
    elif changed.data.task == "quantity" or y.ndim > 1:
        return None
    else:
        x, y = (a[y == y.max()] for a in (x, y))
    return None if len(x) < 20 else replace(changed, trained=None, held=(x, y))


def overfitted(setup: Setup, rng: RNG) -> Setup | None:
    """A wide network that learned few rows with noise, and little for the others."""
    x = setup.data.x + rng.normal(size=setup.data.x.shape) * setup.data.x.std(axis=0)
    changed = split(with_data(setup, x=x), rng, 0.15)
    hidden: list[Layer] = [Dense(128), mg.ReLU(), Dense(128), mg.ReLU()]
    changed = replace(changed, hidden=hidden, optimizer=mg.Adam(learning_rate=0.01), frozen=())
    changed.trained = replace(changed, trained=None)
    here = skill(changed, changed.model().predict(changed.data.x))
    return changed if here > 0.9 and held_skill(changed) < HARM * here else None


FAULTS: dict[str, Fault] = {
    "learning rate too high, SGD": Fault(rate_too_high(False), ("learning_rate",), False),
    "learning rate too high, adaptive": Fault(rate_too_high(True), ("learning_rate",), False),
    "learning rate too low": Fault(rate_too_low, ("learning_rate",), False),
    "inputs not scaled": Fault(unscaled_inputs, ("unscaled_inputs",), False),
    "targets not scaled": Fault(unscaled_targets, ("unscaled_targets",), False),
    "targets out of range": Fault(targets_out_of_range, ("targets_out_of_range",)),
    "probabilities for a loss of logits": Fault(probability_for_logits, ("loss_mismatch",)),
    "logits for a loss of probabilities": Fault(logits_for_probability, ("loss_mismatch",)),
    "regression on class numbers": Fault(class_numbers, ("class_numbers",)),
    "class numbers off by one": Fault(off_by_one, ("unusable_targets",)),
    "targets of other rows": Fault(unrelated, ("unrelated_targets",)),
    "constant targets": Fault(constant_target, ("constant_targets",)),
    "constant input": Fault(constant_input, ("constant_inputs",)),
    "NaN or infinity in x": Fault(not_finite, ("not_finite",)),
    "equal initial weights": Fault(constant_weights, ("identical_units",)),
    "saturated units": Fault(saturated, ("saturated_units",)),
    "dead ReLUs": Fault(dead, ("dead_units",)),
    "vanishing gradients": Fault(vanishing, ("vanishing_gradients",)),
    "exploding gradients": Fault(exploding, ("exploding_gradients", "saturated_units")),
    "no activation": Fault(linear_stack, ("linear_stack",)),
    "wrong gradient": Fault(wrong_gradient, ("wrong_gradients",)),
    "frozen layers": Fault(frozen, ("frozen_layers",), False),
    "regularizer too strong": Fault(regularized, ("strong_regularizers",), False),
    "softmax over one unit": Fault(constant_softmax, ("loss_mismatch",)),
    "rare class": Fault(rare_class, ("rare_class",)),
    "dropout too strong": Fault(strong_dropout, ("strong_dropout",), False),
    "rate too high after training": Fault(rises_again, ("learning_rate",)),
    "training rows for validation": Fault(leaked, ("leaked_rows",)),
    "validation rows unlike the others": Fault(shifted, ("shifted_validation",)),
    "overfitting": Fault(overfitted, ("overfitting",)),
}


def planted(name: str, setups: list[Setup], count: int) -> Iterator[Setup]:
    """Yield set-ups with the fault."""
    fault, number = FAULTS[name], list(FAULTS).index(name)
    first = number * 7 % len(setups)
    for setup in [*setups[first:], *setups[:first]]:
        if not count:
            return
        rng = np.random.default_rng([setup.seed, number])
        changed = fault.plant(setup, rng)
        if changed is not None and (fault.certain or changed.train() <= HARM * setup.skill):
            count -= 1
            yield changed


def case_of(work: tuple[str, list[Setup], int]) -> list[Case]:
    """Diagnose these set-ups, or so many of them with a fault if one is named."""
    name, setups, count = work
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            (name, str(setup), *setup.examine())
            for setup in (planted(name, setups, count) if name else setups)
        ]


def trial(count: int, each: int, *, processes: int = 1) -> tuple[list[Case], int]:
    """Return the cases of `count` healthy set-ups and `each` per fault, and the seeds drawn."""
    with ProcessPoolExecutor(processes) if processes > 1 else nullcontext() as pool:
        run: Any = map if pool is None else pool.map
        setups: list[Setup] = []
        for first in itertools.count(step=10):
            setups += filter(None, run(healthy, range(first, first + 10)))
            if len(setups) >= count:
                break
        setups = setups[:count]
        others = [*filter(None, run(generalizing, setups[: count // 5]))]
        work = [("", setups[i : i + 10], 0) for i in range(0, count, 10)]
        work += [("", others[i : i + 10], 0) for i in range(0, len(others), 10)]
        work += [(name, setups, each) for name in FAULTS]
        return [case for cases in run(case_of, work) for case in cases], setups[-1].seed + 1


def is_right(case: Case) -> bool:
    """Whether the fault is named, or nothing is found where there is none."""
    name, _, found, *_ = case
    return any(kind in FAULTS[name].kinds for kind, _ in found) if name else not found


def summary(cases: list[Case], drawn: int) -> dict[str, Any]:
    """Return the confusion table and the false alarms as plain data."""
    sound = [found for name, _, found, *_ in cases if not name]
    severe = {severity: sum(any(s == severity for _, s in found) for found in sound)
              for severity in ("error", "warning")}  # fmt: skip
    faults = {}
    for name, fault in FAULTS.items():
        own = [case for case in cases if case[0] == name]
        others = Counter(kind for case in own for kind in {k for k, _ in case[2]})
        faults[name] = {
            "kinds": fault.kinds,
            "planted": len(own),
            "found": sum(map(is_right, own)),
            "others": {k: n for k, n in others.most_common() if k not in fault.kinds},
        }
    seconds = [case[3] for case in cases]
    return {
        "drawn": drawn,
        "healthy": len(sound),
        "alarms": severe,
        "faults": faults,
        "median_seconds": round(float(np.median(seconds)), 2),
        "most_seconds": round(max(seconds), 2),
        "wrong": [[name, setup, found] for name, setup, found, *_ in cases
                  if not is_right((name, setup, found, 0.0, ""))],
    }  # fmt: skip


def report(result: dict[str, Any]) -> str:
    """Return a summary as Markdown."""
    rows = []
    for name, row in result["faults"].items():
        others = ", ".join(f"`{kind}` {n}" for kind, n in row["others"].items())
        kinds = " or ".join(f"`{kind}`" for kind in row["kinds"])
        recall = f"{row['found'] / max(1, row['planted']):.2f}"
        rows.append([name, kinds, str(row["planted"]), str(row["found"]), recall, others])
    head = ["fault", "finding", "planted", "found", "recall", "also found"]
    alarms = result["alarms"]
    return (
        f"{table(head, rows)}\n\n"
        f"Of {result['healthy']} healthy set-ups, {alarms['error']} got a finding of severity "
        f"error and {alarms['warning']} one of severity warning. A diagnosis took "
        f"{result['median_seconds']:.2f} seconds of CPU time (median; at most "
        f"{result['most_seconds']:.2f})."
    )


def save(result: dict[str, Any]) -> None:
    """Write doctor.json, and the table on the documentation's page between its marks."""
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    head, rest = PAGE.read_text().split(START)
    PAGE.write_text(f"{head}{START}\n{report(result)}\n{END}{rest.split(END)[1]}")


def main() -> None:
    """Run the trial and print its report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doctor", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="40 healthy set-ups, 4 per fault")
    parser.add_argument("--save", action="store_true", help="write doctor.json and the docs' table")
    parser.add_argument("--processes", type=int, default=2, help="(default: 2)")
    options = parser.parse_args()
    count, each = (40, 4) if options.quick else (300, 20)
    cases, drawn = trial(count, each, processes=options.processes)
    for case in cases:
        if not is_right(case):
            print(case[0] or "healthy", case[1], case[4], "", sep="\n", file=sys.stderr)
    result = summary(cases, drawn)
    print(report(result))
    if options.save:
        save(result)


if __name__ == "__main__":
    main()
