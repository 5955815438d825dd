"""A random generator as text, numbers and arrays, and the same generator made of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.util.random import RNG, rng_state, set_rng_state

_KINDS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "has_gauss": 1}
"""NumPy takes any position, and would read from beyond its buffer."""


def describe_rng(rng: RNG) -> dict[str, Any]:
    """Return what `rebuild_rng` makes a generator of that draws the same numbers.

    Raises:
        TypeError: its bit generator isn't one of NumPy's.

    >>> describe_rng(np.random.Generator(np.random.SFC64(0)))["state"]["bit_generator"]
    'SFC64'
    """
    state = rng_state(rng)
    kind = state["bit_generator"]
    if kind not in _KINDS:
        raise TypeError(
            f"a generator on {kind}, which a file can't hold: use one of {', '.join(_KINDS)}"
        )
    return {"legacy": isinstance(rng, np.random.RandomState), "state": state}


def rebuild_rng(description: Mapping[str, Any]) -> RNG:
    """Return a generator in the state that `describe_rng` saw; no entropy is drawn.

    Raises:
        KeyError, TypeError, ValueError: this describes no generator.

    >>> rng = np.random.default_rng(4)
    >>> twin = rebuild_rng(describe_rng(rng))
    >>> bool(twin.normal() == rng.normal())
    True
    """
    state = description["state"]
    if state["bit_generator"] not in _KINDS:
        raise ValueError(f"no bit generator is named {state['bit_generator']!r}")
    bits = getattr(np.random, state["bit_generator"])(0)
    rng = np.random.RandomState(bits) if description["legacy"] else np.random.Generator(bits)
    _check(state, rng_state(rng), "state")
    set_rng_state(rng, state)
    return rng


def _check(value: Any, example: Any, name: str) -> None:
    """Refuse a state that isn't of the form of `example`."""
    fits = type(value) is type(example)
    if fits and isinstance(example, dict):
        if value.keys() != example.keys():
            raise ValueError(f"a random {name} has {sorted(example)}, got {sorted(value)}")
        for key in example:
            _check(value[key], example[key], key)
    elif fits and isinstance(example, np.ndarray):
        fits = value.shape == example.shape and value.dtype == example.dtype
    elif fits and isinstance(example, int):
        fits = 0 <= value <= _LARGEST.get(name, 2**128 - 1)
    if not fits:
        raise ValueError(f"a random state can't have {value!r} as its {name}")
