"""Randomness comes from one generator that the caller names, never from NumPy's global state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import TypeIs

# As text, since numpy.random takes as long to import as all of this package.
RNG: TypeAlias = "np.random.Generator | np.random.RandomState"
RNGLike: TypeAlias = "int | np.random.SeedSequence | np.random.BitGenerator | RNG | None"


def as_rng(rng: RNGLike) -> tuple[RNG, int | None]:
    """Return a generator, and the entropy that repeats it.

    Follows Scientific Python's SPEC 7 (an int, a `SeedSequence`, a `Generator`, or None for fresh
    entropy) and takes a legacy `RandomState` as it is.

    Returns:
        The generator and the int that `as_rng` takes to draw the same numbers again; None where
        the caller's own generator can't tell it.

    Raises:
        TypeError: anything else.

    >>> generator, entropy = as_rng(None)
    >>> again, _ = as_rng(entropy)
    >>> bool(generator.normal() == again.normal())
    True
    """
    if is_rng(rng):
        return rng, None
    if isinstance(rng, np.random.BitGenerator):
        return np.random.Generator(rng), None
    if isinstance(rng, np.random.SeedSequence):
        spawned = bool(rng.spawn_key)
        entropy = rng.entropy if isinstance(rng.entropy, int) and not spawned else None
        return np.random.default_rng(rng), entropy
    if rng is None or (isinstance(rng, (int, np.integer)) and not isinstance(rng, bool)):
        if rng is not None and rng < 0:
            raise ValueError(f"rng must be zero or a positive integer, got {rng}")
        drawn = np.random.SeedSequence().entropy if rng is None else rng
        assert isinstance(drawn, (int, np.integer))
        return np.random.default_rng(int(drawn)), int(drawn)
    raise TypeError(
        "rng must be an int, a SeedSequence, a Generator, a RandomState or None, "
        f"got {type(rng).__name__}"
    )


def is_rng(value: object) -> TypeIs[RNG]:
    """Tell whether something draws random numbers."""
    return isinstance(value, (np.random.Generator, np.random.RandomState))


def rng_state(rng: RNG) -> dict[str, Any]:
    """Return all of a generator's state, in plain numbers, strings and arrays."""
    if isinstance(rng, np.random.RandomState):
        return dict(rng.get_state(legacy=False))
    return dict(rng.bit_generator.state)


def set_rng_state(rng: RNG, state: Mapping[str, Any]) -> None:
    """Make a generator draw what it drew after `rng_state` returned `state`."""
    if isinstance(rng, np.random.RandomState):
        rng.set_state(dict(state))
    else:
        rng.bit_generator.state = dict(state)
