"""Repeat a tutorial's 2-3-1 network, compare its numbers with ours, and correct its two faults.

`INTRODUCTION` says which tutorial. `python -m minigrad` runs this module.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import RandomState

from minigrad import SGD, Dense, History, MSELoss, Sequential, Sigmoid
from minigrad.data.arrays import Array
from minigrad.util.table import Table
from minigrad.util.terminal import Terminal

ROWS = UPDATES = 10_000
PRINTED_LOSSES = (
    955.62804742, 470.59807765, 458.17174786, 456.84621598, 453.21727266,
    463.60520336, 473.39717028, 529.75791616, 581.31544319, 448.99298218,
)  # fmt: skip
# The least squared error per row of a sigmoid output: the integral of s^2 (1 - s) over 0..1.
FLOOR = 1 / 12
LOSS_RANGE = (FLOOR * ROWS / 2, 2 * PRINTED_LOSSES[0])
OR_ROWS = ((0, 0, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
USAGE = "usage: python -m minigrad [PICTURE.svg]"
INTRODUCTION = """\
This program repeats a tutorial, the notebook "Building Simple Neural Network Using Numpy". The
tutorial builds a network from scratch: 2 inputs, 3 hidden sigmoid units, 1 sigmoid output, no
biases. It trains the network to add two numbers, and prints its losses. You see the same numbers
from minigrad, learn why some of them can't be repeated, and correct two faults of the network. It
takes less than a minute."""
GATE = """\
The tutorial names the OR gate as an example: the output is 1 if one of two inputs is 1. A 2-3-1
network with biases learns it in 2,000 updates."""
REPETITION = f"""\
Each of {ROWS:,} rows has two numbers between 0 and 1, and their sum is the target. The network
makes {UPDATES:,} updates at the learning rate 0.01. The loss is J = 1/2 sum (a_k - t_k)^2 over all
rows (Equation 1 of the tutorial), with the prediction a and the target t; the error per row is the
mean of (a - t)^2.

"tutorial" is the number that the tutorial prints, "minigrad" is ours. "allowed" says what ours
must be: a number that every computer can repeat must have the same digits, the others lie in a
range. The next section explains why."""
CHAOS = f"""\
Gradient descent is stable only if the learning rate is below 2 / (largest curvature of the loss).
Near the solution the largest curvature is about 575, so the limit is 0.0035, and 0.01 is above it.
The run is chaotic: if one weight changes by one unit in its last place, as on another processor,
the loss at update 1,000 changes by 12 %. Later numbers can only be in a range.

The ranges begin at the least error. A target can be up to 2, and a sigmoid stays below 1, so the
error per row is at least 1/12 = 0.0833, and the loss at least {LOSS_RANGE[0]:.1f}. The loss must
stay below {LOSS_RANGE[1]:.1f}, twice the first one, or else the run has diverged. The trained
network's error per row must be below 0.2, about half of the untrained one's. Its prediction for
the sample, whose sum is 0.66, must be between 0.5 and 1."""
CORRECTIONS = """\
The tutorial's network has two faults: the learning rate is too large, and the output can't exceed
1. A lower rate makes the run stable, but the error stays at its lower bound. A linear output
removes the bound. A deeper network, with 3 layers of 8 tanh units, learns it, too. The root of the
error per row is how far a prediction is off, typically."""


def network(rng: int | RandomState) -> Sequential:
    """Return the tutorial's network: no biases, weights from the standard normal distribution."""
    hidden, output = (Dense(n, use_bias=False, weight_initializer="normal") for n in (3, 1))
    return Sequential([hidden, Sigmoid(), output, Sigmoid()], input_shape=(2,), rng=rng)


def half_squared_error() -> MSELoss:
    """Return the tutorial's Equation 1, J = 1/2 sum (a_k - t_k)^2."""
    return MSELoss(reduction="sum", scale=0.5)


@dataclass(frozen=True)
class PrintedNumber:
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

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of a table."""
        allowed = "same digits" if self.range is None else "{:.4g} to {:.5g}".format(*self.range)
        numbers = f"{self.printed:.8f}", f"{self.ours:.8f}"
        return self.what, *numbers, allowed, "yes" if self.agrees else "NO"


def or_gate() -> Array:
    """Train a 2-3-1 network with biases on the OR gate, and return its four predictions."""
    table = np.array(OR_ROWS, dtype=float)
    x, y = table[:, :2], table[:, 2]
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


def repeat_tutorial(x: Array, y: Array, rng: RandomState) -> tuple[list[PrintedNumber], Array]:
    """Return the comparisons, and the squared error per row after each update."""
    model = network(rng)  # random numbers are drawn in the tutorial's order
    history = train(model, x, y, learning_rate=0.01)
    sample = rng.rand(1, 2)
    untrained = squared_error(network(rng), x, y)
    trained, prediction = squared_error(model, x, y), float(model.predict(sample)[0, 0])
    results = [
        PrintedNumber(f"loss after update {update:,}", printed, history["loss"][update], LOSS_RANGE)
        for update, printed in zip(range(1, UPDATES, 1000), PRINTED_LOSSES, strict=True)
    ]
    results[0] = replace(results[0], range=None)
    results += [
        PrintedNumber("error per row, trained", 0.08943408, trained, (FLOOR, 0.2)),
        PrintedNumber("sample, first input", 0.34941852, sample[0, 0]),
        PrintedNumber("sample, second input", 0.30649525, sample[0, 1]),
        PrintedNumber("sample, prediction", 0.77974212, prediction, (0.5, 1.0)),
        PrintedNumber("error per row, untrained", 0.36054183, untrained),
    ]
    return results, squared_errors(model, history, x, y)


def corrected(x: Array, y: Array) -> dict[str, tuple[Sequential, History]]:
    """Train with a stable learning rate, with a linear output, and with a deeper network."""
    stable = network(4)
    linear = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
    hidden = [Dense(8, "tanh") for _ in range(3)]
    deep = Sequential([*hidden, Dense(1)], input_shape=(2,), rng=4)
    runs = {"learning rate 0.001": (stable, train(stable, x, y, learning_rate=0.001))}
    for name, model, rate in (("linear output", linear, 0.5), ("linear output, deeper", deep, 0.1)):
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
        asked = list(arguments) in (["-h"], ["--help"])
        print(_paragraphs(f"{USAGE}\n\n{INTRODUCTION}"), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    path = arguments[0] if arguments else "minigrad-tutorial.svg"
    if not os.path.isdir(os.path.dirname(path) or "."):
        print(f"no folder {os.path.dirname(path)!r} for the picture: create it", file=sys.stderr)
        return 2
    print(_paragraphs(INTRODUCTION))
    _say("1. The OR gate", GATE)
    gate = or_gate().ravel()
    rows = [(*map(str, row), f"{p:.3f}") for row, p in zip(OR_ROWS, gate, strict=True)]
    _show(Table([("x1", "x2", "target", "prediction"), *rows], right=range(4)))
    _say("2. The sum of two numbers", REPETITION)
    rng = RandomState(4)
    x, y = sum_of_two(rng)
    results, errors = repeat_tutorial(x, y, rng)
    wrong = [i for i, result in enumerate(results, start=1) if not result.agrees]
    head: tuple[str, ...] = ("", "tutorial", "minigrad", "allowed", "agrees")
    _show(Table([head, *(result.row for result in results)], right=(1, 2), wrong=wrong))
    _say("3. Why not every digit agrees", CHAOS)
    _say("4. Corrections", CORRECTIONS)
    runs = corrected(x, y)
    curves = {"learning rate 0.01": errors}
    curves |= {name: squared_errors(model, run, x, y) for name, (model, run) in runs.items()}
    rows = [
        (name, f"{len(curve):,}", f"{curve[-1]:.8f}", f"{curve[-1] ** 0.5:.4f}")
        for name, curve in curves.items()
    ]
    head = ("network", "updates", "error per row", "root")
    _show(Table([head, *rows], right=(1, 2, 3)))
    try:
        draw(curves, path)
        print(f"\nThe picture of the errors over the updates is in {path}")
    except ImportError:
        print("\nThe picture of the errors needs Matplotlib: pip install matplotlib")
    learned = max(curve[-1] for curve in [*curves.values()][2:]) < 1e-3  # with a linear output
    solved = bool((gate.round() == (0, 1, 1, 1)).all())
    return 0 if learned and solved and not wrong else 1


def _say(title: str, text: str) -> None:
    """Print a section at once, to be read while the next numbers are computed."""
    print(f"\n{Terminal.of().paint(title, 'bold')}\n\n{_paragraphs(text)}", flush=True)


def _show(table: Table) -> None:
    print(f"\n{table.text()}")


def _paragraphs(text: str) -> str:
    """Wrap each paragraph to the terminal, to at most 80 columns."""
    width = min(Terminal.of().width, 80)
    return "\n\n".join(textwrap.fill(paragraph, width) for paragraph in text.split("\n\n"))
