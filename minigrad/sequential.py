"""The model: layers one after another, trained on data."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from minigrad import engine, training
from minigrad.arrays import Array, Shape, as_data, check_finite
from minigrad.callbacks import Callback
from minigrad.config import by_name
from minigrad.data import Rows, as_rows, split
from minigrad.history import History
from minigrad.layers.base import Layer
from minigrad.layers.chain import Chain
from minigrad.losses import Loss
from minigrad.metrics import Metric, named_metrics
from minigrad.optimizers import Optimizer
from minigrad.parameters import Parameters
from minigrad.rng import RNGLike, as_rng

Verbose: TypeAlias = Literal["auto", 0, 1, 2]


class Sequential(Chain):
    """A network: layers one after another. It is itself a layer, so it nests.

    Args:
        layers: the layers, in order; those without a name get one, such as 'dense_1'.
        input_shape: the shape of one row, such as (2,); without it the model builds itself at the
            first data it sees.
        rng: draws the initial weights, and later the order of the rows: an int, a `SeedSequence`,
            a `Generator` or a `RandomState`; None draws entropy, which `model.entropy` keeps, so
            that `rng=model.entropy` repeats the run.
        dtype: "float64", or "float32"; all computing is done in it.
        name: see `Layer`.

    Raises:
        TypeError: something isn't a `Layer`.
        ValueError: no layers, one layer object twice, two of the same name, another dtype.

    >>> from minigrad import SGD, Dense, MSELoss, Sigmoid
    >>> model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> y = np.array([0.0, 1.0, 1.0, 1.0])
    >>> model.compile(optimizer=SGD(learning_rate=2.0), loss=MSELoss())
    >>> history = model.fit(x, y, epochs=2000, batch_size=None, verbose=0)
    >>> model.predict(x).round()
    array([[0.],
           [1.],
           [1.],
           [1.]])
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        input_shape: Shape | None = None,
        rng: RNGLike = None,
        dtype: str | type[np.floating[Any]] | np.dtype[np.floating[Any]] = "float64",
        name: str = "",
    ) -> None:
        super().__init__(layers, name=name)
        self.dtype: np.dtype[np.floating[Any]] = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be 'float64' or 'float32', got {dtype!r}")
        self.rng, self.entropy = as_rng(rng)
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.metrics: dict[str, Metric] = {}
        self.history = History()
        self._split_seed: int | None = None
        if input_shape is not None:
            self.build_for(tuple(input_shape))

    def build_for(self, input_shape: Shape) -> None:
        """Build all layers as the outermost model, and gather their parameters in one vector."""
        if self.output_shape is None:
            self.output_shape = self.build(input_shape, self.rng)
            self.input_shape = input_shape
        for _, layer in self.walk():
            if isinstance(layer, Sequential):
                layer.dtype = self.dtype
            for name in layer.buffers:
                setattr(layer, name, getattr(layer, name).astype(self.dtype))
        for path, parameter in self.named_parameters():
            parameter.name = path
        Parameters((p for _, p in self.named_parameters()), dtype=self.dtype)

    @override
    def forward(self, x: Array, *, training: bool = True) -> Array:
        """Return the prediction for a batch; with `training`, each layer keeps what it needs.

        Raises:
            TypeError: x isn't floating.
            ValueError: x is empty, or its rows don't have the input shape.
        """
        return super().forward(self._accept(x), training=training)

    def _accept(self, x: ArrayLike) -> Array:
        """Return x as rows of the input shape in the model's dtype."""
        if not (isinstance(x, np.ndarray) and x.dtype == self.dtype and x.size):
            x = as_data(x, "x").astype(self.dtype, copy=False)
        self.check_input_shape(x)
        return x

    def check_input_shape(self, x: Array) -> None:
        """Build the model for these rows if it isn't built, or refuse rows of another shape."""
        if self.output_shape is None:
            self.build_for(x.shape[1:])
        if x.shape[1:] != self.input_shape:
            assert self.input_shape is not None
            self.layers[0].check_input(x, self.input_shape)

    def compile(
        self,
        *,
        optimizer: Optimizer | str,
        loss: Loss | str,
        metrics: Sequence[str | Metric] = (),
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: such as `SGD(learning_rate=0.1)`, or a name for its defaults: "sgd".
            loss: such as `MSELoss()`, or a name for its defaults: "mse".
            metrics: reported beside the loss: names such as "mae", or functions of
                (target, prediction).

        Raises:
            TypeError: a class in the place of an object, or something else.
            ValueError: an unknown name.
        """
        if isinstance(optimizer, str):
            optimizer = by_name(Optimizer, optimizer, "optimizer")
        if isinstance(loss, str):
            loss = by_name(Loss, loss, "loss")
        for argument, value, kind in (("optimizer", optimizer, Optimizer), ("loss", loss, Loss)):
            if not isinstance(value, kind):
                hint = f": pass an object, {value.__name__}()" if isinstance(value, type) else ""
                raise TypeError(f"{argument} must be a {kind.__name__}, got {value!r}{hint}")
        self.optimizer, self.loss, self.metrics = optimizer, loss, named_metrics(metrics)

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool = True,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        callbacks: Sequence[Callback] = (),
        verbose: Verbose = "auto",
    ) -> History:
        """Train for some epochs; a second call goes on from where the first ended.

        Args:
            x: rows of the input shape, floating and finite.
            y: a target for each row.
            epochs: how often to go through all rows.
            batch_size: rows a step; None takes all of them as one batch.
            shuffle: draw a new order of the rows each epoch; one batch of all rows has none.
            validation_data: (x, y) that are only measured, after each epoch.
            validation_split: or this fraction of the rows, chosen at random once for the model.
            sample_weight: a weight for each row; a mean loss is the weighted mean.
            class_weight: a weight for each class, multiplied into the rows' weights.
            callbacks: what else happens at each epoch.
            verbose: 1 shows a line an epoch, 0 nothing; "auto" is 1.

        Returns:
            This call's figures; `model.history` holds those of all calls.

        Raises:
            RuntimeError: the model isn't compiled.
            TypeError, ValueError: data that can't be used, said before anything is changed.
            DivergedError: a loss or gradient isn't finite; the last good parameters are kept.
        """
        optimizer, loss = self._compiled("fit")
        check_count(epochs, "epochs")
        if batch_size is not None:
            check_count(batch_size, "batch_size")
        rows = self._rows(x, y, loss, sample_weight, class_weight)
        validation = None
        if validation_data is not None:
            validation = self._rows(*validation_data, loss)
        elif validation_split:
            if self._split_seed is None:
                self._split_seed = int(self.rng.bytes(4).hex(), 16)
            rows, validation = split(rows, validation_split, self._split_seed)
        run = training.Training(
            self,
            optimizer,
            loss,
            self.metrics,
            rng=self.rng if shuffle else None,
            epoch=self.history.epochs,
        )
        shown = [*callbacks, _PlainLines(epochs)] if verbose else callbacks
        try:
            return run.run(
                rows,
                epochs=epochs,
                batch_size=batch_size,
                validation=validation,
                callbacks=shown,
            )
        finally:
            for figure, values in run.history.items():
                self.history.setdefault(figure, []).extend(values)

    def evaluate(
        self, x: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """Return the loss and the metrics over all rows, by name.

        Raises:
            RuntimeError: the model isn't compiled.
            TypeError, ValueError: as `fit`.
        """
        _, loss = self._compiled("evaluate")
        rows = self._rows(x, y, loss, sample_weight)
        return training.evaluate(self, loss, self.metrics, rows)

    def predict(self, x: ArrayLike) -> Array:
        """Return the outputs for all rows; safe from many threads at once.

        Raises:
            TypeError: x isn't floating.
            ValueError: x is empty, has NaN or infinity, or rows of another shape.
        """
        data = as_data(x, "x")
        check_finite(data, "x")
        self.check_input_shape(data)
        return engine.predict(self, data)

    def _rows(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: Loss,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> Rows:
        self.check_input_shape(as_data(x, "x"))
        assert self.output_shape is not None
        return as_rows(
            x,
            y,
            output_shape=self.output_shape,
            loss=loss,
            sample_weight=sample_weight,
            class_weight=class_weight,
        )

    def _compiled(self, what: str) -> tuple[Optimizer, Loss]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(
                f"{what} needs a compiled model: call model.compile(optimizer=..., loss=...) first"
            )
        return self.optimizer, self.loss

    @override
    def get_config(self) -> dict[str, Any]:
        return {
            "layers": self.layers,
            "input_shape": self.input_shape,
            "rng": None,
            "dtype": self.dtype.name,
            "name": self.name,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gather the parameters of a copy in one vector of its own."""
        vars(self).update(state)
        if self.output_shape is not None:
            self.build_for(self.input_shape or ())


class _PlainLines(Callback):
    """Prints one line an epoch."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    @override
    def on_epoch_end(
        self, training: training.Training, epoch: int, figures: dict[str, float]
    ) -> None:
        said = "  ".join(f"{name} {value:#.5g}" for name, value in figures.items())
        sys.stdout.write(f"epoch {epoch}  {said}\n")


def check_count(value: int, name: str) -> None:
    """Refuse what isn't a whole number of at least 1.

    >>> check_count(0, "epochs")
    Traceback (most recent call last):
    ...
    ValueError: epochs must be a whole number of at least 1, got 0
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
