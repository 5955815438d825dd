"""The loss of several outputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from typing_extensions import override

from minigrad.core.loss import Loss, as_loss
from minigrad.data.by_name import Data, naming, of
from minigrad.data.several import check_names
from minigrad.util.config import register
from minigrad.util.options import check_number

Losses: TypeAlias = Loss | str | Mapping[str, Loss | str] | Sequence[Loss | str]
"""A loss or its name; for several outputs a dict of them, or a list in the outputs' order."""


@register
class JointLoss(Loss):
    """J of several outputs: the sum of a loss for each of them, by name.

    `compile(loss={"kind": CrossEntropyLoss(), "price": MSELoss(scale=0.1)})` makes one. Prediction,
    target and delta are dicts with these names; weights may be one.

    >>> import numpy as np
    >>> from minigrad import MSELoss
    >>> loss = JointLoss({"a": MSELoss(), "b": MSELoss(scale=0.5)})
    >>> prediction = {"a": np.array([[2.0]]), "b": np.array([[2.0]])}
    >>> loss.forward(prediction, {"a": [[0.0]], "b": [[0.0]]}), loss.backward()
    (6.0, {'a': array([[4.]]), 'b': array([[2.]])})
    """

    def __init__(self, losses: Mapping[str, Loss | str]) -> None:
        super().__init__(reduction="sum")
        if not isinstance(losses, Mapping) or not losses:
            raise TypeError(f"JointLoss expects a dict with a loss for each output, got {losses!r}")
        self.losses = {name: as_loss(loss) for name, loss in losses.items()}

    def __copy__(self) -> JointLoss:
        """Return a copy whose losses have caches of their own."""
        return JointLoss({name: copy.copy(loss) for name, loss in self.losses.items()})

    @override
    def forward(self, prediction: Data, target: Data, **options: Any) -> float:
        names = tuple(self.losses)
        prediction = check_names(prediction, names, "the prediction")
        return self._sum("forward", prediction, check_names(target, names, "y"), options)

    @override
    def measure(
        self,
        prediction: Data,
        target: Data,
        sample_weight: Data = None,
        total: Data = None,
        *,
        training: bool = True,
    ) -> float:
        options = {"sample_weight": sample_weight, "total": total, "training": training}
        return self._sum("measure", prediction, target, options)

    def _sum(self, method: str, prediction: Data, target: Data, options: dict[str, Any]) -> float:
        j = 0.0
        for name, loss in self.losses.items():
            own = {option: of(value, name) for option, value in options.items()}
            j += getattr(loss, method)(prediction[name], target[name], **own)
        return j

    @override
    def backward(self) -> Data:
        return {name: loss.backward() for name, loss in self.losses.items()}

    @override
    def match(self, target: Data, shape: Data) -> Data:
        given = check_names(target, tuple(self.losses), "y")
        matched = {}
        for name, loss in self.losses.items():
            with naming(f"y['{name}']"):
                matched[name] = loss.match(given[name], shape[name])
        return matched


def weighted_losses(
    loss: Loss, weights: Mapping[str, float] | Sequence[float], outputs: tuple[str, ...]
) -> Loss:
    """Return a copy of the loss of several outputs, with each loss's scale times its weight."""
    if not outputs:
        raise ValueError(
            f"loss_weights needs several outputs, got {weights!r} for one: scale the loss, as in "
            "MSELoss(scale=0.5)"
        )
    factors = check_names(weights, outputs, "loss_weights")
    joint = copy.copy(loss)
    for name, own in joint.losses.items():
        own.scale *= check_number(factors[name], f"loss_weights['{name}']", "compile")
    return joint


def as_losses(loss: Losses, outputs: tuple[str, ...] = ()) -> Loss:
    """Return the loss, or create it from its name, or from losses for these outputs."""
    if outputs:
        given = loss.losses or loss if isinstance(loss, Loss) else loss
        named = check_names(given, outputs, "loss")
        return loss if isinstance(loss, Loss) else JointLoss(named)
    one: Any = loss
    return JointLoss(one) if isinstance(one, Mapping) else as_loss(one)
