"""Training and prediction compiled by JAX: `fit(..., engine="jax")`.

A step runs once by NumPy, on arrays that write down what is computed; JAX compiles what they wrote.
Read the modules in this order.

From NumPy to a program:

1. `recorded`: the idea, and an array that writes down what NumPy computes with it.
2. `program`: the instructions that are written down.
3. `functions` and `operations`: NumPy's functions as instructions, and what these do in JAX.
   `parts` simplifies the reads and writes of parts of arrays.
4. `recording`: the run of NumPy code that gives a program. `rolling` finds its loops again.

A training step as a function of arrays:

5. `draws` and `pcg64`: the random numbers that layers draw.
6. `gradient_program` and `update_program`: forward, loss and backward; then the optimizer.
7. `devices` and `step`: both programs, for a batch in blocks and on several devices.
8. `loop`: many steps in one call.

A fit:

9. `state`: what a step changes, read from the model and written back.
10. `comparison` and `contents`: whether the jitted numbers are NumPy's, and what must be equal
    for them to stay so.
11. `feeds`, `calls`, `run` and `engine`: the data, the jitted calls, and what the trainer asks.
12. `hosts`: several processes that train one model.

Without a fit: `forward` compiles inference, and the gradient alone.
"""

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("engine='jax' needs JAX: pip install jax") from error

from minigrad.jit.engine import JaxEngine
from minigrad.jit.program import NotCompilableError

__all__ = ["JaxEngine", "NotCompilableError"]
