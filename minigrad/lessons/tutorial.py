"""Repeat a tutorial's 2-3-1 network, compare its numbers with ours, and correct its two faults.

`INTRODUCTION` says which tutorial. `python -m minigrad` runs this module.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import RandomState

from minigrad import SGD, Dense, History, MSELoss, Sequential, Sigmoid
from minigrad.data.arrays import Array

ROWS = UPDATES = 10_000
PRINTED_LOSSES = (
    955.62804742, 470.59807765, 458.17174786, 456.84621598, 453.21727266,
    463.60520336, 473.39717028, 529.75791616, 581.31544319, 448.99298218,
)  # fmt: skip
# The least squared error per row of a sigmoid output: the integral of s^2 (1 - s) over 0..1.
FLOOR = 1 / 12
LOSS_RANGE = (FLOOR * ROWS / 2, 2 * PRINTED_LOSSES[0])
INTRODUCTION = """\
This program repeats a tutorial, the notebook "Building Simple Neural Network Using Numpy". The
tutorial builds a network from scratch: 2 inputs, 3 hidden sigmoid units, 1 sigmoid output, no
biases. It trains the network to add two numbers, and prints its losses.

1. The OR gate

The tutorial first names the OR gate as an example. A 2-3-1 network with biases learns it.

   x1  x2   target  prediction"""
REPETITION = f"""
2. The sum of two numbers

The tutorial's run has {ROWS:,} rows, {UPDATES:,} updates and the learning rate 0.01. The loss is
1/2 sum (prediction - target)^2 over all rows. The columns are the number that the tutorial prints,
our number, how closely they must agree, and whether they do.

  {"":34}{"tutorial":>16}{"minigrad":>16}  {"must agree":22}agrees"""
EXPLANATION = """
Not every digit can agree, because the run is chaotic. Gradient descent is stable only if the
learning rate is below 2 / (largest curvature). Near the solution the largest curvature is about
575, so the limit is 0.0035. A change of one unit in the last place of one weight, as another
processor makes it, changes the loss at update 1,000 by 12 %. So what follows from later updates
must only lie in a range. It starts at the smallest possible loss: the targets reach 2 and a sigmoid
stays below 1, so the squared error per row is at least 1/12 = 0.0833, and the loss 416.7.

3. Corrections

The tutorial's network has two faults: the learning rate is too large, and the output can't exceed
1. The first run lowers the rate, the second has a linear output, the third also 3 layers of 8 tanh
units. The columns are the means of (prediction - target)^2 and |prediction - target|, and updates.
"""


def network(rng: int | RandomState) -> Sequential:
    """Return the tutorial's network: no biases, weights from the standard normal distribution."""
    hidden, output = (Dense(n, use_bias=False, weight_initializer="normal") for n in (3, 1))
    return Sequential([hidden, Sigmoid(), output, Sigmoid()], input_shape=(2,), rng=rng)


def half_squared_error() -> MSELoss:
    """Return the tutorial's Equation 1, E = 1/2 sum (a_k - t_k)^2."""
    return MSELoss(reduction="sum", scale=0.5)


@dataclass(frozen=True)
class Comparison:
    """A number that the tutorial prints, ours, and the range for ours; None for equal digits."""

    what: str
    printed: float
    ours: float
    range: tuple[float, float] | None = None

    @property
    def agrees(self) -> bool:
        """Whether ours is in the range, or has the same digits."""
        if self.range is None:
            return round(self.ours, 8) == self.printed
        return self.range[0] <= self.ours <= self.range[1]

    def __str__(self) -> str:
        must = "each digit" if self.range is None else "{:.4g} to {:.4g}".format(*self.range)
        verdict = "yes" if self.agrees else "NO"
        return f"  {self.what:34}{self.printed:16.8f}{self.ours:16.8f}  {must:22}{verdict}"


def or_gate() -> Array:
    """Train a 2-3-1 network with biases on the OR gate, and return its four predictions."""
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    y = np.array([0.0, 1.0, 1.0, 1.0])
    model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    train(model, x, y, learning_rate=1.0, epochs=2000)
    prediction: Array = model.predict(x)
    return prediction


def sum_of_two(rng: RandomState) -> tuple[Array, Array]:
    """Return 10,000 rows of two numbers between 0 and 1, and their sums."""
    x = rng.rand(ROWS, 2)
    return x, x.sum(axis=1, keepdims=True)


def train(
    model: Sequential, x: Array, y: Array, *, learning_rate: float, epochs: int = UPDATES
) -> History:
    """Train as the tutorial does: each update uses all rows, and subtracts rate * gradient."""
    model.compile(optimizer=SGD(learning_rate=learning_rate), loss=half_squared_error())
    return model.fit(x, y, epochs=epochs, batch_size=None, verbose=0)


def squared_error(model: Sequential, x: Array, y: Array) -> float:
    """Return the mean of (prediction - target)^2."""
    return MSELoss().forward(model.predict(x), y, training=False)


def repeat_tutorial(x: Array, y: Array, rng: RandomState) -> tuple[list[Comparison], Array]:
    """Return the comparisons, and the squared error per row after each update."""
    model = network(rng)  # random numbers are drawn in the tutorial's order
    history = train(model, x, y, learning_rate=0.01)
    sample = rng.rand(1, 2)
    untrained = squared_error(network(rng), x, y)
    trained, prediction = squared_error(model, x, y), float(model.predict(sample)[0, 0])
    results = [
        Comparison(f"loss after update {update:,}", printed, history["loss"][update], LOSS_RANGE)
        for update, printed in zip(range(1, UPDATES, 1000), PRINTED_LOSSES, strict=True)
    ]
    results[0] = replace(results[0], range=None)
    results += [
        Comparison("squared error per row, trained", 0.08943408, trained, (FLOOR, 0.2)),
        Comparison("random sample, input 1", 0.34941852, sample[0, 0]),
        Comparison("random sample, input 2", 0.30649525, sample[0, 1]),
        Comparison("prediction for the sample", 0.77974212, prediction, (0.5, 1.0)),
        Comparison("squared error per row, untrained", 0.36054183, untrained),
    ]
    return results, squared_errors(model, history, x, y)


def corrected(x: Array, y: Array) -> dict[str, tuple[Sequential, History]]:
    """Train with a stable learning rate, with a linear output, and with a deeper network."""
    stable = network(4)
    linear = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    hidden = [Dense(8, "tanh") for _ in range(3)]
    deep = Sequential([*hidden, Dense(1)], input_shape=(2,), rng=4)
    runs = {"sigmoid, rate 0.001": (stable, train(stable, x, y, learning_rate=0.001))}
    for name, model, rate in (("linear output", linear, 0.5), ("deeper, linear", deep, 0.1)):
        model.compile(optimizer=SGD(learning_rate=rate, momentum=0.9), loss=MSELoss())
        runs[name] = (model, model.fit(x, y, epochs=2000, batch_size=None, verbose=0))
    return runs


def squared_errors(model: Sequential, history: History, x: Array, y: Array) -> Array:
    """Return the squared error per row after each update; the history has that before each."""
    assert model.loss is not None
    unit = model.loss.scale * (1 if model.loss.reduction == "mean" else len(x))
    return np.append(np.array(history["loss"][1:]) / unit, squared_error(model, x, y))


def draw(curves: Mapping[str, Array], path: str) -> None:
    """Draw the squared error per row over the updates into an SVG file, with Matplotlib."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    ax = figure.add_subplot()
    for name, errors in curves.items():
        ax.loglog(range(1, len(errors) + 1), errors, label=name)
    ax.axhline(FLOOR, color="grey", linestyle="--", label="least for a sigmoid output: 1/12")
    ax.set_title("Four networks learn the sum of two numbers")
    ax.set(xlabel="update", ylabel="squared error per row")
    ax.legend(loc="lower left")
    with rc_context({"svg.hashsalt": "minigrad"}):  # the same bytes in every run
        figure.savefig(path, format="svg", metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison and draw the picture; return 0 if all numbers agree."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) > 1 or any(a.startswith("-") for a in arguments):
        print("usage: python -m minigrad [PICTURE.svg]", file=sys.stderr)
        return 2
    path = arguments[0] if arguments else "minigrad-tutorial.svg"
    if not os.path.isdir(os.path.dirname(path) or "."):
        print(f"no folder {os.path.dirname(path)!r} for the picture: create it", file=sys.stderr)
        return 2
    print(INTRODUCTION)
    gate = or_gate().ravel()
    for x1, x2, answer in zip((0, 1, 0, 1), (0, 0, 1, 1), gate, strict=True):
        print(f"   {x1:2}  {x2:2}  {x1 | x2:7}  {answer:10.3f}")
    print(REPETITION)
    rng = RandomState(4)
    x, y = sum_of_two(rng)
    results, errors = repeat_tutorial(x, y, rng)
    print(*results, sep="\n")
    print(EXPLANATION)
    print(f"  {'':34}{'squared error':>16}{'absolute error':>16}  {'updates':>8}")
    curves, final = {"tutorial, rate 0.01": errors}, []
    for name, (model, history) in corrected(x, y).items():
        curves[name] = squared_errors(model, history, x, y)
        final.append(curves[name][-1])
        absolute = float(np.abs(model.predict(x) - y).mean())
        print(f"  {name:34}{final[-1]:16.8f}{absolute:16.8f}  {history.epochs:8,}")
    try:
        draw(curves, path)
        print(f"\nThe picture of the squared errors is in {path}")
    except ImportError:
        print("\nThe picture of the squared errors needs Matplotlib: pip install 'minigrad[plot]'")
    learned = max(final[1:]) < 1e-3 and bool((gate.round() == (0, 1, 1, 1)).all())
    return 0 if learned and all(result.agrees for result in results) else 1
