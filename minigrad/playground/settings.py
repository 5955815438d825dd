"""The settings of a page: a problem, a network, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
from typing_extensions import override

from minigrad.data.arrays import Array
from minigrad.playground.problems import PROBLEMS, hold_out, standardized, with_features
from minigrad.util.config import Configurable
from minigrad.util.fields import option, options
from minigrad.util.options import check_bool, check_int, check_number, check_positive, one_of

Kind = Literal["binary", "classes", "regression"]

MOST_LAYERS: Final = 6
MOST_UNITS: Final = 16
MOST_ROWS: Final = 2000
MOST_INPUTS: Final = 64

ACTIVATIONS = ("tanh", "relu", "leaky_relu", "sigmoid", "gelu", "linear")
OUTPUTS = ("linear", "sigmoid", "tanh")
INITIALIZERS = ("glorot_uniform", "he_normal", "large", "equal")
OPTIMIZERS = ("SGD", "Momentum", "Adam", "RMSprop", "Adagrad")
REGULARIZERS = ("none", "L1", "L2")
FEATURES = ("x0", "x1", "x0^2", "x1^2", "x0*x1", "sin(pi x0)", "sin(pi x1)")
LOSSES: Final[dict[Kind, tuple[str, ...]]] = {
    "binary": ("BCEWithLogitsLoss", "MSELoss"),
    "classes": ("CrossEntropyLoss",),
    "regression": ("MSELoss", "L1Loss", "HuberLoss"),
}
"""The losses for each kind of target; the first is the default."""


def between(low: float, high: float) -> Callable[[Any, str, object], float]:
    """Return a check for a number in a range, with both ends."""

    def check(value: Any, name: str, owner: object) -> float:
        number = check_number(value, name, owner)
        if not low <= number <= high:
            raise ValueError(
                f"{type(owner).__name__} expects {name} from {low:g} to {high:g}, got {value!r}"
            )
        return number

    return check


def whole(least: int, most: int) -> Callable[[Any, str, object], int]:
    """Return a check for a whole number in a range, with both ends."""
    in_range = between(least, most)

    def check(value: Any, name: str, owner: object) -> int:
        return int(in_range(check_int(value, name, owner, least=least), name, owner))

    return check


def check_hidden(value: Any, name: str, owner: object) -> list[int]:
    """Return the numbers of units of the hidden layers."""
    if not isinstance(value, (list, tuple)) or len(value) > MOST_LAYERS:
        expected = f"{name} as a list of up to {MOST_LAYERS} numbers of units"
        raise ValueError(f"{type(owner).__name__} expects {expected}, got {value!r}")
    return [whole(1, MOST_UNITS)(units, name, owner) for units in value]


def check_features(value: Any, name: str, owner: object) -> list[str]:
    """Return names of features, in their order."""
    if not isinstance(value, (list, tuple)) or not value or not {*map(str, value)} <= {*FEATURES}:
        expected = f"{name} as a list of some of {', '.join(FEATURES)}"
        raise ValueError(f"{type(owner).__name__} expects {expected}, got {value!r}")
    return [feature for feature in FEATURES if feature in value]


def check_points(value: Any, name: str, owner: object) -> list[list[float]]:
    """Return rows of numbers: inputs, then the target."""
    label = type(owner).__name__
    if not isinstance(value, (list, tuple)) or len(value) > MOST_ROWS:
        raise ValueError(f"{label} expects {name} as a list of at most {MOST_ROWS} rows")
    rows = [row for row in value if isinstance(row, (list, tuple))]
    widths = {len(row) for row in rows}
    if len(rows) != len(value) or (rows and (len(widths) > 1 or not widths <= {*range(2, 66)})):
        expected = f"{name} as rows of 1 to {MOST_INPUTS} inputs and a target, all of one length"
        raise ValueError(f"{label} expects {expected}, got lengths {sorted(widths)}")
    return [[between(-1e9, 1e9)(number, name, owner) for number in row] for row in rows]


@options
class Settings(Configurable):
    """What a page trains: the data, the network, the loss and the optimizer.

    Raises:
        TypeError, ValueError: an unknown setting, or a value out of its range.

    >>> Settings(data="wave", hidden=[4]).loss
    'MSELoss'
    >>> Settings(noise=7)
    Traceback (most recent call last):
    ...
    ValueError: Settings expects noise from 0 to 1, got 7
    """

    data: str = option(one_of(*PROBLEMS, "own"), default="moons")
    """The problem, or "own" for `points`."""
    rows: int = option(whole(10, MOST_ROWS), default=300)
    noise: float = option(between(0, 1), default=0.1)
    """The deviation of what is added to the inputs, or to the targets of a regression."""
    test_share: float = option(between(0, 0.9), default=0.3)
    """The share of the rows that isn't trained with."""
    scale: float = option(between(1e-4, 1e4), default=1.0)
    """A factor of the inputs, as another unit of measurement."""
    standardize: bool = option(check_bool, default=False)
    """Whether the inputs are standardized."""
    features: list[str] = option(check_features, default=("x0", "x1"))
    """What the network gets of two inputs."""
    points: list[list[float]] = option(check_points, default=())
    """Rows of inputs and a target, drawn or pasted."""
    hidden: list[int] = option(check_hidden, default=(8, 8))
    """The units of each hidden layer."""
    activation: str = option(one_of(*ACTIVATIONS), default="tanh")
    output: str = option(one_of(*OUTPUTS), default="linear")
    """The activation of the last layer."""
    initializer: str = option(one_of(*INITIALIZERS), default="glorot_uniform")
    initial_bias: float = option(between(-10, 10), default=0.0)
    residual: bool = option(check_bool, default=False)
    """Whether a hidden layer adds its input, where both have the same width."""
    batch_norm: bool = option(check_bool, default=False)
    dropout: float = option(between(0, 0.9), default=0.0)
    loss: str = option(one_of(*dict.fromkeys(sum(LOSSES.values(), ()))), default=None)
    """The loss; None for the usual one of the problem."""
    optimizer: str = option(one_of(*OPTIMIZERS), default="SGD")
    learning_rate: float = option(check_positive, default=0.1)
    batch_size: int = option(whole(1, MOST_ROWS), default=16)
    regularizer: str = option(one_of(*REGULARIZERS), default="none")
    strength: float = option(between(0, 10), default=0.001)
    """The factor of the regularizer."""
    seed: int = option(whole(0, 2**31 - 1), default=0)
    """Makes the data, the initial weights and the order of the rows."""

    @override
    def __post_init__(self) -> None:
        if self.data == "own" and len(self.points) < 4:
            raise ValueError(f"own data needs at least 4 rows, got {len(self.points)}")
        problem = Problem(self)
        if problem.axes != 2:
            self.features = ["x0", "x1"]
        kind = problem.kind
        if kind == "classes":  # the loss takes logits
            self.output = "linear"
        known = [loss for loss in LOSSES[kind] if "Logits" not in loss or self.output == "linear"]
        if self.loss not in known:
            self.loss = known[0]

    def changed(self, changes: dict[str, Any]) -> Settings:
        """Return the settings with some changed."""
        return Settings(**{**self.get_config(), **changes})

    def differences(self) -> dict[str, Any]:
        """Return the settings that aren't those of a new page."""
        plain = Settings().get_config()
        return {name: value for name, value in self.get_config().items() if value != plain[name]}


class Problem:
    """The rows of some settings, to train with and to test, and what kind of targets they have.

    Attributes:
        kind: "binary" for classes 0 and 1, "classes" for several, or "regression".
        x, y: the rows to train with.
        x_test, y_test: those held out.
        shown, shown_test: the inputs before features are computed of them.
        outputs: the number of outputs that a network for them has.
    """

    def __init__(self, settings: Settings) -> None:
        s = settings
        if s.data == "own":
            table = np.array(s.points, float)
            x, y = table[:, :-1], table[:, -1:]
        else:
            x, y = PROBLEMS[s.data](rows=s.rows, noise=s.noise, seed=s.seed)
        self.kind, self.outputs = _kind(y, s.data == "own")
        if self.kind == "classes":
            y = y.ravel().astype(int)
        x = x * s.scale
        self.x, self.y, self.x_test, self.y_test = hold_out(x, y, share=s.test_share, seed=s.seed)
        if s.standardize:
            self.x, self.x_test = standardized(self.x, self.x_test)
        self.shown, self.shown_test = self.x, self.x_test
        self._features = s.features if self.axes == 2 else []
        self.x, self.x_test = self.features(self.x), self.features(self.x_test)

    def features(self, shown: Array) -> Array:
        """Return the inputs of the network."""
        if not self._features or self._features == ["x0", "x1"]:
            return shown
        return with_features(shown, self._features)

    @property
    def axes(self) -> int:
        """The number of columns before features are computed of them."""
        return int(self.shown.shape[1])

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return int(self.x.shape[1])

    def fits(self, other: Problem) -> bool:
        """Return whether a network for this problem can be trained with the other one."""
        mine, others = ((p.kind, p.inputs, p.outputs) for p in (self, other))
        return mine == others

    def targets(self, y: Array) -> Sequence[float]:
        """Return targets as plain numbers."""
        numbers: list[float] = np.asarray(y, float).ravel().tolist()
        return numbers


def _kind(y: Array, own: bool) -> tuple[Kind, int]:
    """Return the kind of targets, and the number of outputs for it."""
    values = np.unique(y)
    if y.ndim > 1 and {*values.tolist()} <= {0, 1}:
        return "binary", 1
    few = 3 <= len(values) <= 20 and np.array_equal(values, np.arange(len(values)))
    if y.ndim == 1 or (own and few):
        return "classes", len(values)
    return "regression", 1
