"""The run of a `fit` whose steps JAX makes."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from minigrad.core.trainer import Run, Trainer
from minigrad.metrics.running import RunningMetrics


class JaxRun(Run):
    """Gives the engine the data and each step of a run."""

    def __init__(self, engine: Any, **parts: Any) -> None:
        super().__init__(**parts)
        self.engine = engine

    @property
    @override
    def ahead(self) -> bool:
        return bool(self.engine.ahead)

    @override
    def begin(self, trainer: Trainer) -> None:
        data: Any = self.data
        validation: Any = self.validation
        gradient: Any = self.gradient
        begun: Any = self.engine.begin(trainer, gradient, data, validation, self.callbacks)
        self.data, self.validation, self.callbacks = begun

    @override
    def step(self, trainer: Trainer, batch: Any, number: int, running: RunningMetrics) -> int:
        made: int = self.engine.step(batch, number, running)
        return made if made else super().step(trainer, batch, number, running)

    @override
    def end_epoch(self, trainer: Trainer) -> None:
        self.engine.end_epoch()

    @override
    def end(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.engine.end(kind, error, traceback)
