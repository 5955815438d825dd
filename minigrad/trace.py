"""A recorded pass: what each layer received and returned for one batch, forward and backward."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.core.layer import Layer, replica, walk
from minigrad.core.loss import Loss
from minigrad.data.arrays import Array
from minigrad.data.by_name import Data, labelled


@dataclass
class Traced:
    """One layer's part of the pass.

    `delta` is dJ/doutput as the layer received it, `input_deltas` has dJ/dinput for each input, as
    it returned them, and `gradients` its own parameters' gradients by attribute. Without a loss
    they are None and empty. If the layer runs several times, `runs` counts them, and the rest is
    that of the last one.
    """

    path: str
    layer: Layer
    inputs: tuple[Data, ...]
    output: Data
    delta: Data | None = None
    input_deltas: tuple[Array | None, ...] = ()
    gradients: dict[str, Array] | None = None
    runs: int = 1

    @property
    def input(self) -> Any:
        """The input, or the first of several."""
        return self.inputs[0]

    @property
    def input_delta(self) -> Array | None:
        """dJ/dinput, or that of the first of several."""
        return self.input_deltas[0] if self.input_deltas else None

    @property
    def label(self) -> str:
        """The layer's type and path, for messages."""
        return f"{type(self.layer).__name__} '{self.path}'"


@dataclass
class Trace:
    """The steps in the order in which the layers finished forward, and in that of backward.

    >>> from minigrad import Dense, MSELoss, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="ones")], input_shape=(2,))
    >>> recorded = trace(model, np.array([[1.0, 2.0]]), np.array([[1.0]]), MSELoss())
    >>> recorded["dense_1"].output, recorded["dense_1"].delta, recorded.j
    (array([[3.]]), array([[4.]]), 4.0)
    """

    steps: list[Traced]
    backward: list[Traced]
    prediction: Data
    j: float | None = None

    def __getitem__(self, path: str) -> Traced:
        """Return the step of the layer at `path`, such as 'residual_1.dense_1'."""
        return next(step for step in self.steps if step.path == path)

    def first_not_finite(self) -> str | None:
        """Name the first output, or else the first gradient or delta, that isn't finite."""
        arrays = [(f"the output of {step.label}", step.output) for step in self.steps]
        for step in self.backward:
            for name, gradient in (step.gradients or {}).items():
                arrays.append((f"the gradient of '{name}' of {step.label}", gradient))
            arrays += [(f"the input delta of {step.label}", delta) for delta in step.input_deltas]
        for place, data in arrays:
            if not all(
                np.isfinite(array).all() for _, array in labelled(data, "") if array is not None
            ):
                return place
        return None


def trace(
    model: Layer,
    x: Data,
    y: Data | None = None,
    loss: Loss | None = None,
    *,
    sample_weight: Data | None = None,
    training: bool = True,
) -> Trace:
    """Run a batch forward, and with a loss backward, and record what each layer gets and returns.

    Works for every layer and container, since it wraps `forward` and `backward` of a replica. The
    model, its caches and its random state stay as they are.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid()], input_shape=(2,), rng=4)
    >>> [(step.path, step.output.shape) for step in trace(model, np.ones((5, 2))).steps]
    [('dense_1', (5, 3)), ('sigmoid_1', (5, 3)), ('', (5, 3))]
    """
    twin = replica(model)
    steps: dict[int, Traced] = {}
    back: list[Traced] = []
    with np.errstate(all="ignore"):
        for path, layer in walk(twin):
            _record(layer, path, steps, back)
        prediction = twin.forward(x, training=training)
        j = None
        if loss is not None and y is not None:
            loss = copy.copy(loss)
            j = loss.forward(prediction, y, sample_weight=sample_weight)
            twin.backward(loss.backward())
    return Trace(list(steps.values()), back, prediction, j)


def _record(layer: Layer, path: str, steps: dict[int, Traced], back: list[Traced]) -> None:
    """Wrap `forward` and `backward` of a replica's layer so that they record."""
    forward, backward = layer.forward, layer.backward

    def recorded_forward(*inputs: Data, training: bool = True) -> Data:
        output = forward(*inputs, training=training)
        runs = steps[id(layer)].runs + 1 if id(layer) in steps else 1
        steps[id(layer)] = Traced(path, layer, inputs, output, runs=runs)
        return output

    def recorded_backward(delta: Data) -> Any:
        input_delta = backward(delta)
        step = steps[id(layer)]
        step.delta = delta
        step.input_deltas = input_delta if isinstance(input_delta, tuple) else (input_delta,)
        step.gradients = {name: p.grad.copy() for name, p in layer.own_parameters()}
        back.append(step)
        return input_delta

    vars(layer).update(forward=recorded_forward, backward=recorded_backward)
