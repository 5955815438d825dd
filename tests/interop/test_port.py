"""The defaults in `minigrad.port.of_keras` are those of Keras itself."""

import inspect
from typing import Any

import pytest

import minigrad
from minigrad.port.of_keras import DEFAULTS
from minigrad.util.config import Configurable
from minigrad.util.lookup import counterparts

keras = pytest.importorskip("keras")
ROOMS = (
    keras.layers, keras.optimizers, keras.callbacks, keras.losses, keras.initializers,
    keras.regularizers,
)  # fmt: skip
CLASSES = sorted(
    {(name, cls) for room in ROOMS for name, cls in vars(room).items() if isinstance(cls, type)},
    key=lambda pair: pair[0],
)


def number(default: Any) -> float | None:
    """Return 1 for 1 and (1, 1), None for what isn't a number."""
    while isinstance(default, tuple):
        default = default[0]
    return default if isinstance(default, bool | int | float) else None


def test_every_default_that_differs_is_listed_and_no_other() -> None:
    differing: dict[str, dict[str, float]] = {}
    for name, theirs in CLASSES:
        known = minigrad.__all__
        here = name if name in known else next(iter(counterparts(name, known)), "")
        cls = getattr(minigrad, here, None)
        if not (isinstance(cls, type) and issubclass(cls, Configurable)):
            continue
        ours = inspect.signature(cls).parameters
        for option, parameter in inspect.signature(theirs).parameters.items():
            own = option if option in ours else next(iter(counterparts(option, ours)), "")
            default = number(parameter.default)
            if not own or default is None or option == "minval":  # with maxval it is one option
                continue
            if (here, option) == ("BatchNorm", "momentum"):
                default = round(1 - default, 9)
            here_default = number(ours[own].default)
            if here_default is None or abs(here_default - default) > 1e-6:
                differing.setdefault(here, {})[own] = default
    assert differing == DEFAULTS
