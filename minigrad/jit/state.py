"""What a step changes, as arrays: a call reads them from the model, and writes them back."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.optimizer import Optimizer
from minigrad.core.parameters import Parameters


def buffers_of(network: Layer) -> list[tuple[Layer, str]]:
    """Return (layer, attribute) for each buffer."""
    return [(layer, name) for _, layer in walk(network) for name in layer.buffers]


class TrainingState:
    """The parameters, the gradient, the optimizer's state and the buffers of a model.

    As arrays they are a dict, with a list in the order of the parameters or of the buffers:

    - "theta" and "grad": the values and gradients of the parameters.
    - "slots": for each slot of the optimizer, a piece for each parameter.
    - "buffers": those of all layers.
    - "steps": how many steps the optimizer has made.
    """

    def __init__(self, network: Layer, parameters: Parameters, optimizer: Optimizer) -> None:
        self.network, self.parameters, self.optimizer = network, parameters, optimizer
        self.buffers = buffers_of(network)
        if slots := optimizer.slots:
            optimizer.prepare_state(parameters, slots)

    def read(self) -> dict[str, Any]:
        """Return the state as arrays, some of which are the model's own."""
        parameters, optimizer = self.parameters, self.optimizer
        return {
            "theta": [p.value for p in parameters],
            "grad": [p.grad for p in parameters],
            "slots": {name: self._pieces(optimizer.state[name]) for name in optimizer.slots},
            "buffers": [getattr(layer, name) for layer, name in self.buffers],
            "steps": np.int64(optimizer.steps),
        }

    def write(self, state: dict[str, Any]) -> None:
        """Give the model this state."""
        for p, value, grad in zip(self.parameters, state["theta"], state["grad"], strict=True):
            p.value[...] = value
            p.grad[...] = grad
        for name, pieces in state["slots"].items():
            for piece, new in zip(self._pieces(self.optimizer.state[name]), pieces, strict=True):
                piece[...] = new
        for (layer, name), value in zip(self.buffers, state["buffers"], strict=True):
            setattr(layer, name, value.copy())
        self.optimizer.steps = int(state["steps"])

    def _pieces(self, vector: Any) -> list[Any]:
        return [part.reshape(-1) for part in self.parameters.split(vector).values()]
