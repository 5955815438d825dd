"""The interface of a peer: train epochs in order, return their losses, and predict."""

from __future__ import annotations

from abc import ABC, abstractmethod

from benchmarks.workloads import Array, Workload


class RefusalError(Exception):
    """A peer that can't do a workload; the message says why and goes into the table."""


class Peer(ABC):
    """A network under training, built from `workload.weights()` on `workload.data()`."""

    def __init__(self, workload: Workload) -> None:
        """Build; raise `RefusalError` for what the library can't express."""
        self.workload = workload

    @classmethod
    def adapted(cls, workload: Workload) -> Workload:
        """The nearest workload that the peer can express; it is checked and timed on that one."""
        return workload

    @abstractmethod
    def run(self, epochs: int) -> list[float]:
        """Train for some epochs without shuffling; return the mean loss of each."""

    def proof(self) -> list[float]:
        """The loss of a network's first batch, and its slope along each layer's direction.

        A direction is one in the space of the layer's weights: see `Workload.directions`.
        """
        raise RefusalError("fully connected networks only")

    def predict(self, x: Array) -> object:
        """Outputs for rows of x."""
        raise RefusalError("prediction isn't measured")
