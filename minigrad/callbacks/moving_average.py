"""A callback that averages the weights over the steps of training."""

from __future__ import annotations

from typing_extensions import override

from minigrad.callbacks.base import Callback
from minigrad.core.trainer import Trainer
from minigrad.data.arrays import Array
from minigrad.util.options import check_fraction


class ExponentialMovingAverage(Callback):
    """Averages the parameters over the steps, and gives the averages to the model in the end.

    After each step, for each parameter,

        a <- decay a + (1 - decay) theta

    with the parameters at the beginning of `fit` as the first a. The averages are less noisy than
    the last step, and often predict better. During training, validation and callbacks see theta.
    When training ends normally or by Ctrl-C, the model has the averages; the layers' buffers, such
    as running statistics, stay those of the last step. This is Keras's use_ema of optimizers, with
    SwapEMAWeights.

    Args:
        decay: from 0 to below 1; the average covers about 1 / (1 - decay) steps.

    Attributes:
        average: all averages as one vector, in the order of `model.parameters`; None before `fit`.

    Source: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="zeros")], input_shape=(1,))
    >>> model.compile(optimizer=SGD(learning_rate=0.5), loss="mse")
    >>> mean = ExponentialMovingAverage(decay=0.5)
    >>> history = model.fit([[0.0]], [1.0], epochs=2, callbacks=[mean], verbose=0)
    >>> model.parameters.value  # the bias was 0, 1, 1
    array([0.  , 0.75])
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        self.decay = check_fraction(decay, "decay", self)
        self.average: Array | None = None

    @override
    def on_train_begin(self, trainer: Trainer) -> None:
        self.average = trainer.model.parameters.value.copy()

    @override
    def on_update_end(self, trainer: Trainer) -> None:
        assert self.average is not None
        self.average += (1 - self.decay) * (trainer.model.parameters.value - self.average)

    @override
    def on_train_end(self, trainer: Trainer) -> None:
        assert self.average is not None
        trainer.model.parameters.value = self.average
