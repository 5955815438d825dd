"""A neural-network library on NumPy, with a core that can be read in an afternoon."""

import os
from collections.abc import Callable as Function
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigrad import callbacks, layers, losses, optimizers
from minigrad.callbacks import *
from minigrad.core.parameters import Parameter, Parameters
from minigrad.core.trainer import DivergedError
from minigrad.data.sequences import pad_sequences
from minigrad.graphs.graph import Graph, Input
from minigrad.graphs.joint_loss import JointLoss
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
from minigrad.layers import *
from minigrad.layers.activations import sigmoid
from minigrad.layers.softmax import softmax
from minigrad.losses import *
from minigrad.metrics import confusion_matrix
from minigrad.models.model import Model
from minigrad.models.sequential import Sequential
from minigrad.objective import Objective
from minigrad.optimizers import *
from minigrad.regularizers import L1, L1L2, L2, Regularizer
from minigrad.saving.safetensors import FileFormatError
from minigrad.util.config import register
from minigrad.util.lookup import unknown_in
from minigrad.util.options import check_bool

if TYPE_CHECKING:
    from minigrad import plots as plots
    from minigrad.checks import GradientReport, LayerReport, check_gradients, check_layer

__version__ = "0.1.0"

__all__ = [
    "L1", "L1L2", "L2", "Constant", "DivergedError", "FileFormatError", "GlorotNormal",
    "GlorotUniform", "GradientReport", "Graph", "HeNormal", "HeUniform", "History", "Initializer",
    "Input", "JointLoss", "LayerReport", "LecunNormal", "LecunUniform", "Model", "Normal",
    "Objective", "Ones", "Orthogonal", "Parameter", "Parameters", "Regularizer", "Sequential",
    "Uniform", "Zeros", "check_gradients", "check_layer", "confusion_matrix", "load",
    "pad_sequences", "register", "sigmoid", "softmax",
]  # fmt: skip
__all__ += callbacks.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += optimizers.__all__


def load(
    path: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Function[..., Any]] | None = None,
    compile: bool = True,  # noqa: A002 (Keras's name)
) -> Model:
    """Return the model that `save` wrote; `fit` then continues in the same bits.

    Nothing in the file is run or imported, and no function is called. Only registered subclasses of
    `Layer`, `Loss`, `Optimizer` and the like, and those in `custom_objects`, are created.
    `initialize` makes no more numbers than the file holds; a custom layer that fills its arrays
    without it takes the memory that its `build` asks for.

    Args:
        path: the file.
        custom_objects: classes that aren't registered, and functions that were metrics or
            initializers, by name. A metric that isn't among them is left out, with a UserWarning.
        compile: False leaves out the optimizer, the loss, the metrics and the history; their
            classes needn't be known then.

    Raises:
        TypeError: `path` isn't a path.
        FileFormatError: the file isn't valid, comes from a newer minigrad, or names a class or
            function that isn't known.
        OSError: the file can't be read.

    >>> import pathlib, tempfile
    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(3, activation="tanh"), Dense(1)], input_shape=(2,), rng=4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "net.safetensors")
    ...     model.save(path)
    ...     copy = load(path)
    >>> bool((copy.predict([[1, 2]]) == model.predict([[1, 2]])).all())
    True
    """
    from minigrad.saving.loading import load

    if not isinstance(custom_objects, Mapping | None):
        raise TypeError(f"load expects custom_objects as a dict, got {custom_objects!r}")
    return load(path, custom_objects or {}, compiled=check_bool(compile, "compile", "load"))


def __getattr__(name: str) -> Any:
    """Import the checks and the plots at their first use; suggest a name for an unknown one."""
    if name == "plots":
        return import_module("minigrad.plots")
    if name in ("GradientReport", "LayerReport", "check_gradients", "check_layer"):
        return getattr(import_module("minigrad.checks"), name)
    return unknown_in(__name__, __all__)(name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return [*__all__, "__version__", "plots"]
