"""`Blank`, in a module of its own because `numpy.random` is slow to import."""

import numpy as np


class Blank(np.random.Generator):
    """A generator for layers whose arrays are overwritten at once: `initialize` returns zeros."""
