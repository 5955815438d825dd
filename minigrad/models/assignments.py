"""Assignments without an effect, which a model refuses at its next use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.core.layer import Layer
from minigrad.core.model import BaseModel
from minigrad.core.parameters import Parameter
from minigrad.util.attributes import refuse_unknown
from minigrad.util.config import registered
from minigrad.util.lookup import instead
from minigrad.util.names import kind_of, with_article


def refuse_assignments(
    places: Sequence[tuple[Any, Any, object]], layers: Sequence[Layer], *others: object
) -> None:
    """Undo an assignment without an effect, and raise an error that says what to do.

    Such are something else where a parameter or a layer was, and an attribute that the class of a
    layer, a parameter or another object doesn't know; a model may have attributes of its user's
    own, if they aren't misspelt ones. `places` are (container, key, object), with what the
    container held.
    """
    for container, key, item in places:
        new = container.get(key) if isinstance(container, dict) else None
        kind = Parameter if isinstance(item, Parameter) else Layer
        if new is not None and isinstance(item, kind) and not isinstance(new, kind):
            container[key] = item
            owner = next((layer.label for layer in layers if vars(layer) is container), "the model")
            way = instead(key, new, registered(Layer).values()) or "assign a layer"
            if kind is Parameter:
                way = f"assign the numbers to {key}.value"
            expected = with_article(kind.__name__)
            raise TypeError(f"{owner} expects {expected} as {key}, got {kind_of(new)}: {way}")
    for layer in layers:
        _refuse(layer, layer.label, strict=not isinstance(layer, BaseModel))
        for _, parameter in layer.own_parameters():
            _refuse(parameter, repr(parameter))
    for thing in others:
        _refuse(thing, type(thing).__name__)


def _refuse(thing: object, label: str, *, strict: bool = True) -> None:
    for name in [*vars(thing)]:
        try:
            refuse_unknown(thing, name, label, strict=strict)
        except AttributeError as error:
            delattr(thing, name)
            # A property that raises an AttributeError, such as `parameters`, would seem missing.
            raise TypeError(str(error)) from None
