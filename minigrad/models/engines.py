"""Engines: what computes the steps of `fit` in place of NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minigrad.jit import JaxEngine


def jax_engine(engine: str | JaxEngine) -> JaxEngine:
    """Return the engine, or the default one for its name "jax"."""
    if isinstance(engine, str) and engine != "jax":
        raise ValueError(f"engine expects 'numpy', 'jax' or a JaxEngine, got {engine!r}")
    from minigrad.jit import JaxEngine

    if isinstance(engine, str):
        return JaxEngine()
    if not isinstance(engine, JaxEngine):
        raise TypeError(f"engine expects 'numpy', 'jax' or a JaxEngine, got {engine!r}")
    return engine
