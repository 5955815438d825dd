"""Training and prediction compiled by JAX: `fit(..., engine="jax")`.

Read its modules in this order.

1. `recorded`: the idea, and an array that writes down what NumPy computes with it.
2. `program`: the instructions that are written down.
3. `functions` and `operations`: NumPy's functions as instructions, and what these do in JAX.
4. `recording`: the run of NumPy code that gives a program.
5. `step`: a training step as a function of arrays, and a loop over many; `pcg64`: the random
   numbers that it computes.
6. `feeds` and `engine`: the data of a fit, and the fit.
7. `forward`: inference, and the gradient alone.
8. `devices` and `hosts`: a batch shared by several devices, and by several processes.
"""

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("engine='jax' needs JAX: pip install 'minigrad[jax]'") from error

from minigrad.compiled.engine import JaxEngine
from minigrad.compiled.program import NotCompilableError

__all__ = ["JaxEngine", "NotCompilableError"]
