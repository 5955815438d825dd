"""A recorded pass: what each layer received and returned for one batch, forward and backward."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, replica, walk
from minigrad.core.loss import Loss
from minigrad.data.arrays import Array


@dataclass
class Step:
    """One layer's part of the pass.

    `delta` is dJ/doutput as the layer received it, `input_delta` is dJ/dinput as it returned it,
    and `gradients` holds its own parameters' gradients by attribute. They are None without a loss.
    """

    path: str
    layer: Layer
    input: Array
    output: Array
    delta: Array | None = None
    input_delta: Array | None = None
    gradients: dict[str, Array] | None = None

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

    steps: list[Step]
    backward: list[Step]
    prediction: Array
    j: float | None = None

    def __getitem__(self, path: str) -> Step:
        """Return the step of the layer at `path`, such as 'residual_1.dense_1'."""
        return next(step for step in self.steps if step.path == path)

    def first_not_finite(self) -> str | None:
        """Name the first output, or else the first gradient or delta, that isn't finite."""
        for step in self.steps:
            if not np.isfinite(step.output).all():
                return f"the output of {step.label}"
        for step in self.backward:
            for name, gradient in (step.gradients or {}).items():
                if not np.isfinite(gradient).all():
                    return f"the gradient of '{name}' of {step.label}"
            if step.input_delta is not None and not np.isfinite(step.input_delta).all():
                return f"the input delta of {step.label}"
        return None


def trace(
    model: Layer,
    x: Array,
    y: NDArray[Any] | None = None,
    loss: Loss | None = None,
    *,
    sample_weight: Array | None = None,
    training: bool = True,
) -> Trace:
    """Run a batch forward, and with a loss backward, and record what passes each layer.

    Works for every layer and container, since it wraps `forward` and `backward` of a replica. The
    model, its caches and its random state stay as they are.

    >>> from minigrad import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid()], input_shape=(2,), rng=4)
    >>> [(step.path, step.output.shape) for step in trace(model, np.ones((5, 2))).steps]
    [('dense_1', (5, 3)), ('sigmoid_1', (5, 3)), ('', (5, 3))]
    """
    twin = replica(model)
    steps: dict[int, Step] = {}
    back: list[Step] = []
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


def _record(layer: Layer, path: str, steps: dict[int, Step], back: list[Step]) -> None:
    """Wrap `forward` and `backward` of a replica's layer so that they record."""
    forward, backward = layer.forward, layer.backward

    def recorded_forward(x: Array, *, training: bool = True) -> Array:
        output = forward(x, training=training)
        steps[id(layer)] = Step(path, layer, x, output)
        return output

    def recorded_backward(delta: Array) -> Array:
        input_delta = backward(delta)
        step = steps[id(layer)]
        step.delta, step.input_delta = delta, input_delta
        step.gradients = {name: p.grad.copy() for name, p in layer.own_parameters()}
        back.append(step)
        return input_delta

    vars(layer).update(forward=recorded_forward, backward=recorded_backward)
