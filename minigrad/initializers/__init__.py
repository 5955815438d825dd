"""Initializers: the values of parameters before training."""

from minigrad.initializers.base import (
    Initializer,
    InitializerLike,
    Substitute,
    check_initializer,
    initialize,
)
from minigrad.initializers.distributions import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Normal,
    Ones,
    Orthogonal,
    Uniform,
    Zeros,
)

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Initializer",
    "InitializerLike", "LecunNormal", "LecunUniform", "Normal", "Ones", "Orthogonal", "Substitute",
    "Uniform", "Zeros", "check_initializer", "initialize",
]  # fmt: skip
