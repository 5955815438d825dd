"""What users pass for several inputs or outputs: a dict by name, or a list in their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.util.lookup import guess


def check_names(data: object, names: tuple[str, ...], what: str) -> Mapping[str, Any]:
    """Return a dict with exactly these names; a list has an item for each name, in their order."""
    if isinstance(data, (list, tuple)) and len(data) == len(names):
        return dict(zip(names, data, strict=True))
    known = ", ".join(map(repr, names))
    if not isinstance(data, Mapping):
        way = ", ".join(f"{name!r}: ..." for name in names)
        raise TypeError(
            f"{what} expects a dict with {known}, or a list in this order, got {_given(data)}: "
            f"pass {{{way}}}"
        )
    if data.keys() != set(names):
        unknown = next((str(name) for name in data if name not in names), "")
        meant = guess(unknown, [name for name in names if name not in data])
        raise ValueError(
            f"{what} expects a dict with {known}, got one with {sorted(data)}"
            + (f": {meant}" if meant else "")
        )
    return data


def _given(data: object) -> str:
    count = f" of {len(data)}" if isinstance(data, (list, tuple)) else ""
    return type(data).__name__ + count
