"""A layer framework on NumPy: small enough to read in an afternoon, checked enough to trust."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigrad.config import register
from minigrad.files.errors import FileFormatError
from minigrad.files.loading import load
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
    ELU,
    GELU,
    SELU,
    Activation,
    BatchNorm,
    Chain,
    Dense,
    Dropout,
    Flatten,
    Hardsigmoid,
    Hardtanh,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    Mish,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from minigrad.layers.softmax import softmax
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
)
from minigrad.metrics import confusion_matrix
from minigrad.names import guess
from minigrad.objective import Objective
from minigrad.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from minigrad.optimizers.schedules import CosineDecay, ExponentialDecay, Schedule, StepDecay
from minigrad.parameters import Parameter, Parameters
from minigrad.penalties import L1, L1L2, L2, Penalty
from minigrad.sequential import Sequential
from minigrad.training import DivergedError
from minigrad.training.callbacks import Callback, CSVLogger, LearningRateScheduler
from minigrad.training.history import History
from minigrad.training.monitors import EarlyStopping, ModelCheckpoint
from minigrad.training.plateau import ReduceOnPlateau

if TYPE_CHECKING:
    from minigrad import views as views
    from minigrad.checking import GradientReport, check_gradients
    from minigrad.layer_rules import LayerReport, check_layer

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "GELU",
    "L1",
    "L1L2",
    "L2",
    "SELU",
    "SGD",
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm",
    "CSVLogger",
    "Callback",
    "Chain",
    "Constant",
    "CosineDecay",
    "CrossEntropyLoss",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "ExponentialDecay",
    "FileFormatError",
    "Flatten",
    "GlorotNormal",
    "GlorotUniform",
    "GradientReport",
    "Hardsigmoid",
    "Hardtanh",
    "HeNormal",
    "HeUniform",
    "HingeLoss",
    "History",
    "HuberLoss",
    "Identity",
    "Initializer",
    "L1Loss",
    "Layer",
    "LayerNorm",
    "LayerReport",
    "LeakyReLU",
    "LearningRateScheduler",
    "LecunNormal",
    "LecunUniform",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "Mish",
    "ModelCheckpoint",
    "Normal",
    "Objective",
    "Ones",
    "Optimizer",
    "Orthogonal",
    "Parallel",
    "Parameter",
    "Parameters",
    "Penalty",
    "RMSprop",
    "ReLU",
    "ReduceOnPlateau",
    "Reshape",
    "Residual",
    "Schedule",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "StepDecay",
    "Tanh",
    "Uniform",
    "Zeros",
    "check_gradients",
    "check_layer",
    "confusion_matrix",
    "load",
    "register",
    "softmax",
]

_LATER = {
    "GradientReport": "minigrad.checking",
    "LayerReport": "minigrad.layer_rules",
    "check_gradients": "minigrad.checking",
    "check_layer": "minigrad.layer_rules",
}


def __getattr__(name: str) -> Any:
    """Import what only development needs when it is first asked for.

    Raises:
        AttributeError: there is no such name; it says which one is meant.
    """
    if name == "views":
        return import_module("minigrad.views")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    meant = "" if name.startswith("_") else guess(name, __all__)
    raise AttributeError(f"module 'minigrad' has no attribute '{name}'{': ' * bool(meant)}{meant}")


def __dir__() -> list[str]:
    """Name what is public, for completion; also what isn't imported yet."""
    return [*__all__, "__version__", "views"]
