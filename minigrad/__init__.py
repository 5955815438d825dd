"""A layer framework on NumPy: small enough to read in an afternoon, checked enough to trust."""

from minigrad.callbacks import Callback
from minigrad.checking import GradientReport, check_gradients
from minigrad.config import register
from minigrad.history import History
from minigrad.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LecunNormal,
    LecunUniform,
    Normal,
    Ones,
    Orthogonal,
    Uniform,
    Zeros,
)
from minigrad.layers import (
    Activation,
    Chain,
    Dense,
    Identity,
    Layer,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from minigrad.losses import Loss, MSELoss
from minigrad.optimizers import SGD, Optimizer
from minigrad.parameters import Parameter, Parameters
from minigrad.sequential import Sequential
from minigrad.training import DivergedError

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Activation",
    "Callback",
    "Chain",
    "Constant",
    "Dense",
    "DivergedError",
    "GlorotNormal",
    "GlorotUniform",
    "GradientReport",
    "HeNormal",
    "HeUniform",
    "History",
    "Identity",
    "Initializer",
    "Layer",
    "LecunNormal",
    "LecunUniform",
    "Loss",
    "MSELoss",
    "Normal",
    "Ones",
    "Optimizer",
    "Orthogonal",
    "Parameter",
    "Parameters",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Uniform",
    "Zeros",
    "check_gradients",
    "register",
]
