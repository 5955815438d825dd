"""Training and prediction compiled by JAX: `fit(..., engine="jax")`.

A step runs once on arrays that record what NumPy computes (`recorded`), which gives a program
without effects (`step`); JAX compiles a loop over many steps (`engine`).
"""

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError("engine='jax' needs JAX: pip install 'minigrad[jax]'") from error

from minigrad.compiled.engine import JaxEngine
from minigrad.compiled.recorded import NotCompilableError

__all__ = ["JaxEngine", "NotCompilableError"]
