"""The base of callbacks: methods that training calls around each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any, TypeAlias

from typing_extensions import override

from minigrad.core.trainer import Trainer
from minigrad.util.config import Configurable
from minigrad.util.names import kind_of, nearest

EpochFunction: TypeAlias = Callable[[int, dict[str, float]], Any]


class Callback(Configurable):
    """Base of callbacks; a new one overrides the methods it needs.

    `trainer` is the `Trainer` of the running `fit`: it has `model`, `optimizer`, `loss` and the
    `history` of all epochs, and `trainer.stop = True` ends training after this epoch. `logs` holds
    the numbers of the epoch by name. Epochs count from 1, and on through later fits.

    Raises:
        TypeError: where a subclass is defined with an `on_...` method that isn't one of these, or
            that takes other arguments.

    >>> import numpy as np
    >>> from minigrad import Dense, Sequential
    >>> class GoodEnough(Callback):
    ...     def on_epoch_end(self, trainer, epoch, logs):
    ...         trainer.stop = logs["loss"] < 0.01
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.array([[0.0], [1.0]])
    >>> history = model.fit(x, x, epochs=1000, callbacks=[GoodEnough()], verbose=0)
    >>> history["loss"][-1] < 0.01, history.epochs < 1000
    (True, True)
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        methods = {name: value for name, value in vars(Callback).items() if name.startswith("on_")}
        for name in dir(cls):
            method = getattr(cls, name)
            if not name.startswith("on_") or not callable(method):
                continue
            if name not in methods:
                raise TypeError(
                    f"{cls.__name__} has a method '{name}', which training never calls: "
                    f"{nearest(name, methods)}"
                )
            expected = list(signature(methods[name]).parameters)
            try:
                signature(method).bind(*expected)
            except TypeError:
                raise TypeError(
                    f"{cls.__name__} expects {name}({', '.join(expected)}), got "
                    f"{name}{signature(method)}"
                ) from None

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before each epoch."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        """After each epoch, when the history holds it."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training was interrupted or failed."""

    @override
    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except TypeError:  # a custom callback need not keep its arguments
            return f"{type(self).__name__}(...)"


class EpochCallback(Callback):
    """Calls a function of (epoch, logs) after each epoch; `fit` makes one for a plain function.

    Args:
        function: takes the epoch and its logs.
    """

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self.function(epoch, logs)


def as_callbacks(callbacks: Iterable[Callback | EpochFunction]) -> list[Callback]:
    """Return callbacks; a function of (epoch, logs) becomes an `EpochCallback`.

    Raises:
        TypeError: something else, or a single callback that isn't in a list.
    """
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(
            f"callbacks expects a list, got {kind_of(callbacks)}: pass callbacks=[callback]"
        )
    found: list[Callback] = []
    for index, callback in enumerate[Any](callbacks):
        if isinstance(callback, type):
            raise TypeError(
                f"callbacks[{index}] is a class: pass an object, {callback.__name__}(...)"
            )
        if not isinstance(callback, Callback) and not callable(callback):
            raise TypeError(
                f"callbacks[{index}] expects a Callback or a function of (epoch, logs), got "
                f"{kind_of(callback)}"
            )
        found.append(callback if isinstance(callback, Callback) else EpochCallback(callback))
    return found
