"""minigrad, through `compile` and `fit` with the compiled engine."""

from __future__ import annotations

from typing_extensions import override

from benchmarks.peers.minigrad_fit import MinigradFit
from benchmarks.workloads import Array


class MinigradJit(MinigradFit):
    """The same model, with another engine."""

    engine = "jax"

    @override
    def predict(self, x: Array) -> object:
        return self.model.predict(x, engine="jax")


PEER = MinigradJit
