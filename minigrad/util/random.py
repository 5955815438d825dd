"""Random generators: the caller passes one, and NumPy's global state is never used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import TypeIs

# Strings, because importing numpy.random takes as long as importing this package.
RNG: TypeAlias = "np.random.Generator | np.random.RandomState"
RNGLike: TypeAlias = "int | np.random.SeedSequence | np.random.BitGenerator | RNG | None"


def as_rng(rng: RNGLike) -> tuple[RNG, int | None]:
    """Return a generator, and the integer seed that makes the same generator again.

    Takes what Scientific Python's SPEC 7 does (an int, a `SeedSequence`, a `BitGenerator`, a
    `Generator`, or None for fresh entropy), and a legacy `RandomState`. The seed of a generator
    that the caller made is None.
    """
    if is_rng(rng):
        return rng, None
    if isinstance(rng, np.random.BitGenerator):
        return np.random.Generator(rng), None
    if rng is None:
        rng = np.random.SeedSequence()
    if isinstance(rng, np.random.SeedSequence):
        seed = rng.entropy if isinstance(rng.entropy, int) and not rng.spawn_key else None
        return np.random.default_rng(rng), seed
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"rng expects zero or a positive integer, got {rng}")
        return np.random.default_rng(int(rng)), int(rng)
    raise TypeError(
        "rng expects an int, a SeedSequence, a BitGenerator, a Generator, a RandomState or None, "
        f"got {type(rng).__name__}"
    )


def is_rng(value: object) -> TypeIs[RNG]:
    """Return whether a value is a random generator."""
    return isinstance(value, (np.random.Generator, np.random.RandomState))


def rng_state(rng: RNG) -> dict[str, Any]:
    """Return the state of a generator as numbers, strings and arrays."""
    if isinstance(rng, np.random.RandomState):
        return dict(rng.get_state(legacy=False))
    return dict(rng.bit_generator.state)


def set_rng_state(rng: RNG, state: Mapping[str, Any]) -> None:
    """Restore a state that `rng_state` returned."""
    if isinstance(rng, np.random.RandomState):
        rng.set_state(dict(state))
    else:
        rng.bit_generator.state = dict(state)
