"""What layers and losses have in common: forward leaves behind what backward needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.util.config import Configurable


class Cached(Configurable):
    """One cache rule: `forward` remembers in `self.cache` what `backward` needs, while training.

    Reading the cache before it was written raises, naming the object. It is no part of a copy or
    a pickle.
    """

    equation: str = ""
    """What `explain` tells with numbers, such as "a = tanh(z); g' = 1 - a^2": z or x is the input,
    attributes go by their names, and sum(...) is over the row. A loss says l and l' of a and t."""
    cache: Any
    """What the last `forward` left for `backward`; RuntimeError where none in training came."""

    @property
    def label(self) -> str:
        """What messages call it."""
        return type(self).__name__

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> Any:
            """Say what is missing: it is asked only then."""
            if name == "cache":
                raise RuntimeError(
                    f"backward of {self.label} was called before forward: "
                    "call forward(..., training=True) first"
                )
            special = name.startswith("__")  # copy and pickle ask for these, of half-made objects
            message = f"{type(self).__name__ if special else self.label} has no attribute '{name}'"
            raise AttributeError(
                message if special else message + self._way_to(name), name=name, obj=self
            )

    def _way_to(self, name: str) -> str:
        """Return what a message adds about an attribute that is missing."""
        return ""

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "cache"}
