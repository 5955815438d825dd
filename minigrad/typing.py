"""The types in the public signatures, for annotations.

>>> from minigrad import Layer
>>> class Double(Layer):
...     def forward(self, x: Array, *, training: bool = True) -> Array:
...         return 2 * x
...     def backward(self, delta: Array) -> Array:
...         return 2 * delta
"""

from minigrad.core.trainer import Trainer
from minigrad.data.arrays import Array, Shape
from minigrad.diagnose import Diagnosis, Finding
from minigrad.explain import Explanation
from minigrad.film import Film
from minigrad.metrics import Metric
from minigrad.util.random import RNG

__all__ = [
    "RNG", "Array", "Diagnosis", "Explanation", "Film", "Finding", "Metric", "Shape", "Trainer",
]  # fmt: skip
