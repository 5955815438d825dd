"""The list of a built container's layers, which stays as it is."""

from __future__ import annotations

from typing import Any, NoReturn

from typing_extensions import override

from minigrad.core.layer import Layer


class BuiltLayers(list[Layer]):
    """A list that refuses to be changed, as its layers' names, shapes and parameters are settled.

    >>> from minigrad import Dense, Sequential, Tanh
    >>> model = Sequential([Dense(3)], input_shape=(2,))
    >>> model.layers.append(Tanh())
    Traceback (most recent call last):
    ...
    TypeError: the layers of a built model stay: make a new one, Sequential([*model.layers, ...])
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            "the layers of a built model stay: make a new one, Sequential([*model.layers, ...])"
        )

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle it whole, and not layer by layer."""
        return BuiltLayers, (list(self),)
