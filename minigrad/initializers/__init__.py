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
from minigrad.util.lookup import unknown_in

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Initializer",
    "InitializerLike", "LecunNormal", "LecunUniform", "Normal", "Ones", "Orthogonal", "Substitute",
    "Uniform", "Zeros", "check_initializer", "initialize",
]  # fmt: skip

__getattr__ = unknown_in(__name__, __all__)
