"""A list that can't be changed any more."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from typing_extensions import Self, override

T = TypeVar("T")


class FrozenList(list[T]):
    """The layers of a built container: names, shapes and parameters depend on them."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            "the layers of a built model can't be changed: make a new one, "
            "Sequential([*model.layers, ...])"
        )

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    @override
    def __reduce__(self) -> tuple[type[Self], tuple[list[T]]]:
        """Copy and pickle the list as a whole."""
        return type(self), (list(self),)
