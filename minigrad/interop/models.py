"""What the exchange of whole models needs, whatever the other library is."""

from __future__ import annotations

from typing import Any

from minigrad.core.model import Model
from minigrad.data.arrays import Shape


def check_built(model: Any, function: str) -> Shape:
    """Return the input shape of a built model; refuse another object in the function's name."""
    if not isinstance(model, Model):
        raise TypeError(
            f"{function} expects a Model, got {type(model).__name__}: put it in Sequential"
        )
    if model.input_shape is None:
        raise RuntimeError(
            f"{function} expects a built model, got {model.label}: pass it input_shape=, or call "
            "fit"
        )
    return model.input_shape
