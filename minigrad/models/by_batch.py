"""Training by hand: the step of `fit`, and the loss, for a batch that the caller chose."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
from typing_extensions import override

from minigrad.blocks.block_gradient import BlockGradient
from minigrad.core.layer import Layer, walk
from minigrad.core.trainer import DivergedError, Run, Trainer
from minigrad.data.by_name import Arrays
from minigrad.data.rows import Rows
from minigrad.metrics.running import RunningMetrics
from minigrad.models.evaluation import Evaluation
from minigrad.models.last_good_epoch import LastGoodEpoch


def step(
    trainer: Trainer,
    network: Layer,
    validate: Callable[..., Rows],
    x: Arrays,
    y: Arrays,
    *,
    sample_weight: Arrays | None = None,
    return_dict: bool = False,
) -> Any:
    """Make one training step with a batch, and return its loss.

    The step is that of `fit`, in the same bits: the optimizer's state, Dropout's random numbers and
    the running statistics of BatchNorm go on, and a saved model continues. `fit` and
    `train_on_batch` may take turns. The history counts epochs, so it doesn't change, and callbacks
    aren't called.

    Args:
        trainer: the model's.
        network: what computes its outputs.
        validate: makes rows of x, y and the weight.
        x: the rows of a batch; see `fit`.
        y: their targets.
        sample_weight: their weights.
        return_dict: return the loss and the metrics of the batch by name, as `evaluate` does. By
            default the loss alone is returned, and no metric is computed.

    Returns:
        The loss before the step, regularizers included: a float, or a dict of floats.

    Raises:
        RuntimeError: the model isn't compiled, or its `fit` is running.
        TypeError, ValueError: unusable data.
        DivergedError: the loss, the gradient or a parameter isn't finite. The parameters, the
            buffers and the optimizer are those before this step.

    >>> from minigrad import SGD, Dense, Sequential
    >>> model = Sequential([Dense(1, weight_initializer="ones")], input_shape=(1,))
    >>> model.compile(optimizer=SGD(learning_rate=0.25), loss="mse", metrics=["mae"])
    >>> model.train_on_batch([[1.0]], [3.0])
    4.0
    >>> model.test_on_batch([[1.0]], [3.0], return_dict=True)
    {'loss': 0.0, 'mae': 0.0}
    """
    if trainer.run is not None:
        raise RuntimeError("train_on_batch can't run inside fit of the same model: call it after")
    check = partial(validate, x, y, sample_weight, loss=trainer.loss)
    last, arrays = trainer.by_batch, _form_of(x, y) if sample_weight is None else None
    if isinstance(last, BatchRun) and arrays is not None and arrays == last.arrays:
        rows = last.rows(x, y)
    else:
        rows = check()
    run = _run_of(trainer, network, rows)
    run.arrays = arrays
    return _loss_of(run.train(trainer, rows, check, metrics=return_dict), return_dict=return_dict)


def measure(
    trainer: Trainer,
    network: Layer,
    validate: Callable[..., Rows],
    x: Arrays,
    y: Arrays,
    *,
    sample_weight: Arrays | None = None,
    return_dict: bool = False,
) -> Any:
    """Return the loss of a batch in inference, as `evaluate` does; no layer changes.

    The arguments are those of `step`, and so is what is returned.
    """
    rows = validate(x, y, sample_weight, loss=trainer.loss)
    run = _run_of(trainer, network, rows)
    return _loss_of(run.evaluation(rows), return_dict=return_dict)


class BeforeStep(LastGoodEpoch):
    """Goes back to the model and the optimizer before the latest step."""

    @override
    def take(self, when: str) -> None:
        super().take(when)
        self._good = self._latest


class BatchRun(Run):
    """A run whose batches come from the caller, one at a time; kept from call to call.

    `arrays` is the form of the latest arrays that were validated; see `_form_of`.
    """

    place = "step {1}"

    def __init__(self, trainer: Trainer, network: Layer, rows: Rows) -> None:
        model, loss = trainer.model, trainer.loss
        gradient = BlockGradient(network, loss, parameters=model.parameters)
        super().__init__(
            gradient=gradient,
            data=rows,
            batch_size=None,
            rng=None,
            good=BeforeStep(model, trainer.optimizer),
            evaluation=Evaluation(model, loss, trainer.metrics, gradient.rows),
        )
        self.arrays: Any = None
        self._large = [layer for _, layer in walk(model) if layer.min_batch_size > 1]

    def rows(self, x: Any, y: Any) -> Rows:
        """Return the rows of arrays in the form of a batch that was validated.

        A NaN isn't looked for: it gives a loss or a gradient that isn't finite.
        """
        form: Any = cast(Rows, self.data).form
        return Rows(x, form.loss.match(y, (len(x), *form.output_shape)), None, form)

    def train(
        self, trainer: Trainer, rows: Rows, check: Callable[[], Rows], *, metrics: bool
    ) -> dict[str, float]:
        """Make a step, and return the loss, and the metrics where asked.

        `check` refuses bad numbers, after a step that wasn't finite.
        """
        for layer in self._large:
            if len(rows) < layer.min_batch_size:
                raise ValueError(
                    f"{layer.label} expects at least {layer.min_batch_size} rows in a training "
                    f"batch, got {len(rows)}"
                )
        gradient, number = self.gradient, trainer.optimizer.steps + 1
        gradient.use(gradient.parameters)  # a parameter may have got a regularizer
        if len(rows) <= gradient.rows:  # else each block is converted
            rows = rows.take(slice(None))
        running = RunningMetrics(trainer.loss, trainer.metrics if metrics else {})
        self.good.take(f"what they were before step {number}")
        try:
            with gradient, np.errstate(all="ignore"):
                self.step(trainer, rows, number, running)
            trainer.check_parameters(self, f"step {number}")
        except DivergedError as error:
            stopped = self.go_back(error)
            check()
            raise stopped from None
        return running.logs()


def _run_of(trainer: Trainer, network: Layer, rows: Rows) -> BatchRun:
    """Return the run of this model, a new one if its parameters have moved."""
    run, parameters = trainer.by_batch, trainer.model.parameters
    if not isinstance(run, BatchRun) or run.gradient.parameters is not parameters:
        trainer.optimizer.check_owner(parameters)
        run = trainer.by_batch = BatchRun(trainer, network, rows)
    return run


def _form_of(x: Any, y: Any) -> Any:
    """Return what two arrays have in common with the next ones of a loop; None for other data."""
    if type(x) is type(y) is np.ndarray and x.shape[:1] == y.shape[:1] > (0,):  # as many rows
        return x.dtype, x.shape[1:], y.dtype, y.shape[1:]
    return None


def _loss_of(logs: dict[str, float], *, return_dict: bool) -> Any:
    return logs if return_dict else logs["loss"]
