"""The first program of a training step: forward, loss and backward.

The layers and the loss are copies that hold recorded arrays, and compute as ever.
"""

from __future__ import annotations

import copy
from typing import Any

import jax
import numpy as np

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.core.layer import Layer, replica, walk
from minigrad.core.loss import Loss
from minigrad.core.parameters import Parameters
from minigrad.data.by_name import Data, row_count
from minigrad.jit.draws import note_draws
from minigrad.jit.program import refusal
from minigrad.jit.recorded import Recorded, concrete
from minigrad.jit.recording import Recording
from minigrad.jit.state import buffers_of


class GradientProgram:
    """J, the gradient, the buffers and the prediction for a batch, as a function of arrays.

    Args:
        network: the layer, built; the program is recorded on a copy.
        loss: J.
        batch: x, y and weight: an example.
        total: the divisor of a mean, if the batch is a block of another one.

    Attributes:
        draws: what the layers draw, in order.
        gradients: an example of the gradient, an array for each parameter.
        prediction: an example of the prediction.
    """

    def __init__(self, network: Layer, loss: Loss, batch: Any, total: Any = None) -> None:
        network = replica(network)
        home = Parameters(p for _, p in network.named_parameters())
        for p in home:
            p.regularizer = None
        gradient = BlockGradient(network, copy.copy(loss), parameters=home, threads=1)
        gradient.rows = row_count(batch[0])
        objects = [gradient.loss, *(layer for _, layer in walk(network))]
        with Recording(objects) as recording, np.errstate(all="ignore"):
            for p in home:
                p._value = recording.given(p.value)
            for p in {*home, *(p for _, p in network.named_parameters())}:
                grad: Any = Recorded(np.zeros(p.shape, p.value.dtype))
                p._grad = grad
            buffers = buffers_of(network)
            for layer, name in buffers:
                setattr(layer, name, recording.given(getattr(layer, name)))
            x, y, weight, total = jax.tree.map(recording.given, (*batch, total))
            self.draws = note_draws(network, recording)
            before = {layer: {**vars(layer)} for _, layer in walk(network)}
            given: list[Any] = [(p, p.value, p.value.value) for p in home]  # type: ignore[attr-defined]
            predictions: list[Data] = []
            j = gradient(x, y, weight, predictions, total=total)
            _refuse_changes(before)
            self.draws.check()
            for p, array, value in given:
                if p.value is not array or array.value is not value:
                    raise refusal(
                        f"forward or backward changes '{p.name}', which no later step would see",
                        "change it in a callback",
                        owner="the step",
                    )
            self.gradients = [concrete(p.grad) for p in home]
            self.prediction = concrete(predictions[0])
            self.program = recording.finish(
                {
                    "j": j,
                    "grad": [p.grad for p in home],
                    "buffers": [getattr(layer, name) for layer, name in buffers],
                    "prediction": predictions[0],
                }
            )

    def __call__(
        self, theta: Any, buffers: Any, batch: Any, draws: Any, total: Any = None
    ) -> dict[str, Any]:
        """Return the results for other arrays, and "ok": whether they take the same branches."""
        found: dict[str, Any] = self.program.run((theta, buffers, (*batch, total), draws))
        return found


def _refuse_changes(before: dict[Layer, dict[str, Any]]) -> None:
    """Refuse a layer that changes another attribute than its cache and its buffers."""
    for layer, held in before.items():
        for name, value in vars(layer).items():
            if name in held and name not in ("cache", *layer.buffers) and value is not held[name]:
                raise refusal(
                    f"forward or backward changes self.{name}, which no later step would see",
                    "keep it in self.cache, or name it in buffers",
                    owner=layer.label,
                )
