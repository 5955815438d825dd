"""The base class of callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import getattr_static, signature
from types import FunctionType
from typing import Any, ClassVar, TypeAlias

from typing_extensions import override

from minigrad.core.trainer import Trainer
from minigrad.util.config import Configurable
from minigrad.util.names import kind_of, nearest

EpochFunction: TypeAlias = Callable[[int, dict[str, float]], Any]


class Callback(Configurable):
    """Base of callbacks; a subclass overrides the methods it needs.

    `trainer` is the `Trainer` of the running `fit`: it has `model`, `optimizer`, `loss` and the
    `history` of all epochs, and `trainer.stop = True` ends training after this epoch. `logs` holds
    the loss and the metrics of the epoch. Epochs count from 1, on over several calls of `fit`.

    If several processes train one model, each runs the callbacks; those whose class sets
    `writes_files = True` run in the first process only.

    A method `on_...` with another name or other arguments is refused when the class is defined.

    >>> from minigrad import Dense, Sequential
    >>> class GoodEnough(Callback):
    ...     def on_epoch_end(self, trainer, epoch, logs):
    ...         trainer.stop = logs["loss"] < 0.01
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> history = model.fit([[0], [1]], [0, 1], epochs=999, callbacks=[GoodEnough()], verbose=0)
    >>> history["loss"][-1] < 0.01, history.epochs < 999
    (True, True)
    """

    writes_files: ClassVar[bool] = False

    @override
    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except TypeError:  # a subclass needn't store its arguments
            return f"{type(self).__name__}(...)"

    def __init_subclass__(cls) -> None:
        """Raise TypeError for a method that training never calls, or calls with other arguments."""
        super().__init_subclass__()
        methods = [name for name in vars(Callback) if name.startswith("on_")]
        for name in dir(cls):
            if not name.startswith("on_") or not callable(getattr(cls, name)):
                continue
            if name not in methods:
                raise TypeError(
                    f"{cls.__name__} has a method '{name}', which training never calls: "
                    f"{nearest(name, methods)}"
                )
            if isinstance(method := getattr_static(cls, name), FunctionType):
                expected, given = signature(vars(Callback)[name]).parameters, signature(method)
                try:
                    given.bind(*expected)
                    wrong = list(given.parameters)[1:2] in (["epoch"], ["logs"])  # as in Keras
                except TypeError:
                    wrong = True
                if wrong:
                    raise TypeError(
                        f"{cls.__name__}.{name} expects the arguments ({', '.join(expected)}), "
                        f"got {given}"
                    )

    def on_train_begin(self, trainer: Trainer) -> None:
        """Run before the first epoch."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Run before each epoch."""

    def on_update_end(self, trainer: Trainer) -> None:
        """Run after each update of the parameters, one a batch."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        """Run after each epoch, when the history and a saved model contain it."""

    def on_train_end(self, trainer: Trainer) -> None:
        """Run after the last epoch, also when training was interrupted or failed."""


class EpochCallback(Callback):
    """Calls a function of (epoch, logs) after each epoch; `fit` wraps functions in it."""

    def __init__(self, function: EpochFunction) -> None:
        self.function = function

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self.function(epoch, logs)


class LambdaCallback(Callback):
    """A callback made of functions, one for each method that `Callback` has.

    Args:
        on_train_begin, on_epoch_begin, on_update_end, on_epoch_end, on_train_end: functions with
            the arguments of the methods, as in `lambda trainer, epoch: ...` for `on_epoch_begin`.

    Raises:
        TypeError: something that isn't a function, or takes other arguments.

    >>> from minigrad import Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> shout = LambdaCallback(on_epoch_begin=lambda trainer, epoch: print("epoch", epoch))
    >>> history = model.fit([[0], [1]], [0, 1], epochs=2, callbacks=[shout], verbose=0)
    epoch 1
    epoch 2
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[Trainer], Any] | None = None,
        on_epoch_begin: Callable[[Trainer, int], Any] | None = None,
        on_update_end: Callable[[Trainer], Any] | None = None,
        on_epoch_end: Callable[[Trainer, int, dict[str, float]], Any] | None = None,
        on_train_end: Callable[[Trainer], Any] | None = None,
    ) -> None:
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_update_end": on_update_end,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }
        for name, function in given.items():
            if function is None:
                continue
            expected = [*signature(getattr(Callback, name)).parameters][1:]
            if not callable(function) or not takes(function, len(expected)):
                raise TypeError(
                    f"LambdaCallback expects a function of ({', '.join(expected)}) as {name}, got "
                    f"{function!r}"
                )
            vars(self)[name] = function  # hides the method

    @override
    def get_config(self) -> dict[str, Any]:
        """Return the functions that were given."""
        return {**vars(self)}


def takes(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function can be called with so many arguments by position."""
    try:
        signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a built-in function doesn't say
        return True
    return True


def as_callbacks(callbacks: Iterable[Callback | EpochFunction] | None) -> list[Callback]:
    """Return callbacks, with functions of (epoch, logs) wrapped in one; none for None."""
    if callbacks is None:
        return []
    single = isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable)
    if single or getattr(callbacks, "shape", None) == ():
        raise TypeError(f"callbacks expects a list, got {kind_of(callbacks)}: pass callbacks=[...]")
    found: list[Callback] = []
    for index, callback in enumerate[Any](callbacks):
        if callable(callback) and not isinstance(callback, (Callback, type)):
            callback = EpochCallback(callback)
        if not isinstance(callback, Callback):
            way = f": pass an object, {callback.__name__}()" if isinstance(callback, type) else ""
            raise TypeError(
                f"callbacks[{index}] expects a Callback object or a function of (epoch, logs), got "
                f"{callback!r}{way}"
            )
        found.append(callback)
    return found
