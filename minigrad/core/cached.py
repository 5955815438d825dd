"""The cache rule: a training `forward` remembers what `backward` needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.util.config import Configurable

_NOT_COPIED = ("cache", "_output", "_symbols")


class Cached(Configurable):
    """Base of layers and losses, which keep what `backward` needs in `self.cache`.

    Reading the cache before `forward(training=True)` has written it raises an error that names
    the object. The cache is left out of copies and pickles.
    """

    equation: str = ""
    """The equation as text, such as "a = tanh(z); g' = 1 - a^2", which `explain` shows with
    numbers. z or x is the input, attributes keep their names, sum(...) runs over the row. A loss
    gives l and l' in terms of a and t."""
    cache: Any
    """What the last training `forward` left for `backward`."""

    @property
    def label(self) -> str:
        """The name in messages."""
        return type(self).__name__

    if not TYPE_CHECKING:  # a type checker knows the attributes

        def __getattr__(self, name: str) -> Any:
            """Explain which attribute is missing."""
            if name == "cache":
                raise RuntimeError(
                    f"backward of {self.label} was called before forward: "
                    "call forward(..., training=True) first"
                )
            if name.startswith("__"):  # copy and pickle ask for these before `__init__` has run
                raise AttributeError(name)
            from minigrad.util.lookup import hint

            message = f"{self.label} has no attribute '{name}'"
            message += hint(self, name) or self._missing_hint()
            raise AttributeError(message, name=name, obj=self)

    def _missing_hint(self) -> str:
        """Return what a message adds about a missing attribute."""
        return ""

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in _NOT_COPIED}
