"""A smaller learning rate each time that a figure no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from typing_extensions import override

from minigrad.callbacks.monitors import Mode, Monitor
from minigrad.optimizers.schedules import Schedule
from minigrad.util.options import check_int, check_not_negative, check_positive

if TYPE_CHECKING:
    from minigrad.core.trainer import Trainer


class ReduceOnPlateau(Monitor):
    """After each `patience` epochs in a row without a better value, eta <- factor * eta.

    A line says so, unless the run is silent.

    The epochs of earlier fits count, as the model's history has them, so that training which was
    stopped and goes on later reduces at the same epochs.

    Keras's ReduceLROnPlateau. PyTorch's waits for one epoch more than `patience`, and takes its
    threshold as a fraction of the best value unless threshold_mode is "abs".

    Args:
        monitor: the figure that is followed.
        factor: above 0 and below 1.
        patience: in epochs, at least 1.
        min_delta: a change of no more than this doesn't count as better.
        mode: "min", "max", or "auto", by the figure's name.
        min_learning_rate: eta never gets below it.

    Raises:
        TypeError, ValueError: a value out of its range; when training begins, a figure that isn't
            reported, or an optimizer whose learning rate is a `Schedule`.

    >>> import numpy as np
    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> plateau = ReduceOnPlateau(monitor="loss", factor=0.5, patience=2, min_delta=100)
    >>> history = model.fit(np.ones((4, 1)), np.ones(4), epochs=5, callbacks=[plateau], verbose=0)
    >>> model.optimizer.learning_rate
    0.125
    """

    def __init__(
        self,
        *,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        mode: Mode = "auto",
        min_learning_rate: float = 0.0,
    ) -> None:
        super().__init__(monitor=monitor, mode=mode, min_delta=min_delta)
        self.factor = check_positive(factor, "factor", self)
        if self.factor >= 1:
            raise ValueError(f"ReduceOnPlateau expects 0 < factor < 1, got {factor}")
        self.patience = check_int(patience, "patience", self)
        self.min_learning_rate = check_not_negative(min_learning_rate, "min_learning_rate", self)
        self._waited = 0

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        super().on_train_begin(trainer)
        rate = trainer.optimizer.learning_rate
        if isinstance(rate, Schedule):
            raise TypeError(
                f"ReduceOnPlateau needs a learning rate that is a number, got {rate!r}: use one "
                "of the two"
            )
        self.best, self.best_epoch, self._waited = None, 0, 0
        for epoch, value in enumerate(trainer.history.get(self.monitor, ()), start=1):
            self._runs_out(epoch, {self.monitor: value})

    @override
    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        optimizer = trainer.optimizer
        reduced = max(self.factor * optimizer.rate, self.min_learning_rate)
        if self._runs_out(epoch, logs) and reduced < optimizer.rate:
            optimizer.learning_rate = reduced
            epochs = f"{self.patience} epoch{'s' * (self.patience > 1)}"
            trainer.say(
                f"learning rate {reduced:.4g} after epoch {epoch}: no better {self.monitor} in "
                f"{epochs}"
            )

    def _runs_out(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Take an epoch's figure in, and tell whether patience has run out."""
        self._waited = 0 if self.improved(epoch, logs) else self._waited + 1
        if self._waited < self.patience:
            return False
        self._waited = 0
        return True
