"""`Blank`, in a module of its own because `numpy.random` is slow to import."""

from __future__ import annotations

from math import inf, prod

import numpy as np
from numpy.typing import NDArray


class Blank(np.random.Generator):
    """A generator for layers whose arrays are overwritten at once: `initialize` makes zeros.

    `Blank(np.random.PCG64(0))` is one.
    """

    left: float = inf
    """How many elements `initialize` may still make: loading allows as many as the file holds."""

    def zeros(self, shape: tuple[int, ...], owner: str) -> NDArray[np.float64]:
        """Return zeros of a shape.

        Raises:
            ValueError: fewer elements are left. No memory is taken then.
        """
        self.left -= prod(shape)
        if self.left < 0:
            raise ValueError(f"{owner} has shape {shape}, which is more than the file holds")
        return np.zeros(shape)
