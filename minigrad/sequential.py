"""The model: layers one after another, trained on data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from minigrad import engine, training
from minigrad.arrays import Array, Shape, as_data, check_finite
from minigrad.code import code
from minigrad.config import as_object, register
from minigrad.data import Rows, as_pair, as_rows, split
from minigrad.layers.base import Layer
from minigrad.losses import Loss
from minigrad.metrics import Metric, named_metrics
from minigrad.names import names_options
from minigrad.network import Network
from minigrad.objective import Objective
from minigrad.optimizers import Optimizer
from minigrad.ranges import below_one, whole
from minigrad.rng import RNGLike
from minigrad.streams import Accept, Batches, Stream, as_batches, as_validation
from minigrad.summary import notes, summary
from minigrad.training.callbacks import Callback, EpochFunction, as_callbacks
from minigrad.training.history import History
from minigrad.training.progress import Verbose, progress

if TYPE_CHECKING:
    from minigrad.diagnose import Diagnosis
    from minigrad.explain import Explanation


@register
class Sequential(Network):
    """A network: layers one after another. It is itself a layer, so it nests.

    `model[0]` and `model["dense_1"]` are layers; `model[:2]` is a model of the first two, the same
    objects with the same weights, which predicts what they give.

    The parameters of a model in another live in the outer one's vectors once that is built: take
    their `value` and `grad` anew then, as the arrays that they gave before are no longer theirs.

    Args:
        layers: the layers, in order; those without a name get one, such as 'dense_1'.
        input_shape: the shape of one row, such as (2,); without it the model builds itself at the
            first data it sees.
        rng: draws the initial weights, and later the order of the rows: an int, a `SeedSequence`,
            a `Generator` or a `RandomState`; None draws entropy, which `model.entropy` keeps, so
            that `rng=model.entropy` repeats the run.
        dtype: "float64", or "float32"; all computing is done in it. A model in this one takes it
            too; what is built already must have it.
        name: see `Layer`.

    Raises:
        TypeError: something isn't a `Layer`.
        ValueError: no layers, one layer object twice, two of the same name, another dtype, or a
            layer that was built in another.

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
        super().__init__(layers, input_shape=input_shape, rng=rng, dtype=dtype, name=name)
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.metrics: dict[str, Metric] = {}
        self.history = History()
        self._split_seed: int | None = None
        self._planned: int | None = None  # how many epochs there will be when a running fit ends

    @names_options
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
            metrics: reported beside the loss: names such as "mae", "accuracy" or "top_3_accuracy",
                or functions of (target, prediction).

        Raises:
            TypeError: a class in the place of an object, or something else.
            ValueError: an unknown name, or an optimizer that remembers another model's steps.
        """
        optimizer = as_object(Optimizer, optimizer, "optimizer")
        optimizer.check_free(p for _, p in self.named_parameters())
        loss = as_object(Loss, loss, "loss")
        self.optimizer, self.loss = optimizer, loss
        self.metrics = named_metrics(metrics, threshold=loss.decision_threshold)

    @names_options
    def fit(
        self,
        x: ArrayLike | Batches | None = None,
        y: ArrayLike | None = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        shuffle: bool = True,
        validation_data: Batches | Sequence[ArrayLike] | None = None,
        validation_split: float = 0.0,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        callbacks: Sequence[Callback | EpochFunction] = (),
        verbose: Verbose = "auto",
        threads: int | None = None,
    ) -> History:
        """Train for some epochs, or until Ctrl-C; a second call goes on from where this one ended.

        After Ctrl-C the step that is running is finished, and the history so far is returned; a
        second Ctrl-C raises KeyboardInterrupt at once.

        Args:
            x: rows of the input shape, floating and finite: an array, anything with `__array__`
                (a frame, a tensor), or a memory-mapped file, of which blocks are read. Without y
                it is an iterable of batches, (x, y) or (x, y, sample_weight), which is gone
                through each epoch: a list or a loader; or a function that returns one.
            y: a target for each row.
            epochs: how often to go through all rows.
            batch_size: rows a step; None takes all of them as one batch. Batches of an iterable
                are taken as they come.
            shuffle: draw a new order of the rows each epoch; one batch of all rows has none, and
                an iterable has its own.
            validation_data: (x, y), (x, y, sample_weight), or an iterable of such batches, that
                are only measured, after each epoch.
            validation_split: or this fraction of the rows, chosen at random once for the model:
                later calls with the same rows and fraction hold out the same ones.
            sample_weight: a weight for each row; a mean loss is the weighted mean.
            class_weight: a weight for each class, multiplied into the rows' weights.
            callbacks: what else happens at each epoch: callbacks, or functions of (epoch, figures).
            verbose: 1, the same as "auto", shows a line of progress on a terminal, and elsewhere a
                line an epoch; 2 shows a line an epoch everywhere, 0 nothing.
            threads: that share a large batch; None takes MINIGRAD_THREADS, or as many as pay. The
                result is the same bits for any number.

        Returns:
            This call's figures; `model.history` holds those of all calls.

        Raises:
            RuntimeError: the model isn't compiled.
            TypeError, ValueError: data that can't be used, said before anything is changed; only
                later batches of an iterable are checked as they come.
            DivergedError: a loss or gradient isn't finite; the last good parameters are kept.
        """
        optimizer, loss = self._compiled("fit")
        epochs = whole(epochs, "epochs", self)
        if batch_size is not None:
            batch_size = whole(batch_size, "batch_size", self)
        followers, speaker = as_callbacks(callbacks), progress(verbose)
        data = as_batches(
            x, y, self._rows_from(loss, class_weight), sample_weight=sample_weight, epochs=epochs
        )
        validation: Rows | Stream | None = None
        if validation_data is not None:
            if validation_split:
                raise ValueError("give validation_data or validation_split, not both")
            validation = as_validation(validation_data, self._rows_from(loss), epochs=epochs)
        elif below_one(validation_split, "validation_split", self):
            if isinstance(data, Stream):
                raise ValueError("validation_split needs arrays x and y: pass validation_data")
            if self._split_seed is None:
                self._split_seed = int(self.rng.bytes(4).hex(), 16)
            data, validation = split(data, validation_split, self._split_seed)
        if isinstance(data, Stream) and batch_size not in (None, 32):
            raise ValueError("batch_size needs arrays x and y: batches are taken as they come")
        run = training.Training(
            self,
            optimizer,
            loss,
            self.metrics,
            rng=self.rng if shuffle else None,
            past=self.history,
            progress=speaker,
            threads=threads,
        )
        self._planned = self.history.epochs + epochs
        history = run.run(
            data,
            epochs=epochs,
            batch_size=batch_size,
            validation=validation,
            callbacks=followers,
        )
        if not run.interrupted:
            self._planned = None
        return history

    def evaluate(
        self,
        x: ArrayLike | Batches,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> dict[str, float]:
        """Return the loss and the metrics over all rows, by name; x and y are as in `fit`.

        Raises:
            RuntimeError: the model isn't compiled.
            TypeError, ValueError: as `fit`.
        """
        _, loss = self._compiled("evaluate")
        data = as_batches(x, y, self._rows_from(loss), sample_weight=sample_weight)
        return training.evaluate(self, loss, self.metrics, data)

    def predict(self, x: ArrayLike, *, threads: int | None = None) -> Array:
        """Return the outputs for all rows; safe from many threads at once.

        `threads` is as in `fit`.

        Raises:
            TypeError: x isn't floating.
            ValueError: x is empty, has NaN or infinity, or rows of another shape.
        """
        data = as_data(x, "x")
        check_finite(data, "x")
        self.check_input_shape(data)
        return engine.predict(self, data, threads=threads)

    def activations(self, x: ArrayLike) -> dict[str, Array]:
        """Return what each layer gives for these rows in inference, by its path, in order.

        Raises:
            TypeError, ValueError: as `predict`.

        >>> from minigrad import Dense, Sigmoid
        >>> model = Sequential([Dense(3), Sigmoid()], input_shape=(2,), rng=4)
        >>> {path: output.shape for path, output in model.activations(np.ones((5, 2))).items()}
        {'dense_1': (5, 3), 'sigmoid_1': (5, 3)}
        """
        from minigrad.trace import trace

        data = as_data(x, "x")
        check_finite(data, "x")
        recorded = trace(self, self._accept(data), training=False)
        return {step.path: step.output for step in recorded.steps if step.path}

    def objective(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        loss: Loss | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Objective:
        """Return theta -> (J, dJ/dtheta) over these rows, for SciPy's optimizers.

        `scipy.optimize.minimize(f, model.parameters.value.copy(), jac=True, method="L-BFGS-B")`
        takes it as it is. Each call sets the model's parameters to theta; the last one isn't
        always the best: assign `result.x` in the end. See `Objective`.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            loss: J; by default the compiled loss.
            sample_weight: as in `fit`.

        Raises:
            RuntimeError: no loss is given, and the model isn't compiled.
            TypeError, ValueError: as `fit`.
        """
        if loss is None:
            _, loss = self._compiled("objective")
        return Objective(self, loss, self._rows(x, y, loss, sample_weight))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of the model into one safetensors file; `minigrad.load(path)` reads it.

        The file holds the layers and their options, parameters and buffers, what is frozen or
        shared, and all that training needs to go on in the same bits: optimizer, loss, metrics,
        the optimizer's state, the random state, the split, the history. Of a function (a metric,
        an initializer) it holds the name, which `load` takes in `custom_objects`. It doesn't hold
        gradients, the state of callbacks, or how a `Sequential` inside this one was compiled.

        The write is atomic: interrupted at any moment, it leaves the old file or the new one.

        Raises:
            TypeError: an option is nothing that a file can hold.
            OSError: the file can't be written.
        """
        from minigrad.files import saving

        saving.save(self, path)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and buffers alone, by path, into a safetensors file.

        Raises:
            OSError: the file can't be written.
        """
        from minigrad.files import weights

        weights.save_weights(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Take the parameters and buffers from a file of `save_weights`, `save` or another tool.

        Names and shapes must be this model's; another dtype is converted.

        Raises:
            FileFormatError: not such a file; the model is then left as it was.
            OSError: the file can't be read.
            RuntimeError: the model isn't built yet.
        """
        from minigrad.files import weights

        weights.load_weights(self, path)

    @names_options
    def explain(self, x: ArrayLike, y: ArrayLike, *, loss: Loss | str | None = None) -> Explanation:
        """Tell how these rows went forward and back, as equations with this network's numbers.

        The model isn't touched. What is returned holds every layer's arrays, prints as text, and
        writes itself as LaTeX and as a page to step through.

        Args:
            x: rows of the input shape; a few of them.
            y: a target for each row.
            loss: a loss, or a name for its defaults; by default the compiled one.

        Raises:
            RuntimeError: no loss is given and the model isn't compiled.
            TypeError, ValueError: data that can't be used.

        >>> from minigrad import Dense, Sigmoid
        >>> model = Sequential([Dense(3), Sigmoid(), Dense(1)], input_shape=(2,), rng=4)
        >>> explanation = model.explain(np.array([[0.5, 1.0]]), np.array([1.0]), loss="mse")
        >>> explanation["dense_1"].weight_gradients.shape
        (1, 2, 3)
        >>> explanation
        Explanation(rows=1, layers=3, steps=14, J=0.415753): print it
        """
        from minigrad.explain import Explanation

        loss = self.loss if loss is None else as_object(Loss, loss, "loss")
        if loss is None:
            raise RuntimeError(
                "explain needs a loss, where backpropagation starts: pass one, such as "
                "explain(x, y, loss=MSELoss()), or compile the model"
            )
        rows = self._rows(x, y, loss)
        return Explanation(self, self._accept(rows.x), rows.y, loss)

    @names_options
    def diagnose(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        loss: Loss | str | None = None,
        optimizer: Optimizer | str | None = None,
        batch_size: int | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> Diagnosis:
        """Find what keeps the model from learning these rows, with the evidence in numbers.

        The model isn't touched: copies are examined, of which some train for a moment. Of many
        rows it looks at some, and says at how many.

        Args:
            x: rows of the input shape.
            y: a target for each row.
            loss: a loss, or a name for its defaults; by default the compiled one.
            optimizer: likewise. Without one the learning rate isn't looked at.
            batch_size: the rows of a step, as `fit` will have; None takes all of them as one batch.
                It matters to the learning rate where the loss is a sum.
            sample_weight: a weight for each row, as for `fit`.
            class_weight: a weight for each class, likewise.

        Returns:
            Findings, the gravest first; false where nothing was found. It prints as text.

        Raises:
            RuntimeError: no loss is given and the model isn't compiled.
            TypeError, ValueError: x and y aren't rows that the model takes.

        >>> from minigrad import SGD, Dense, MSELoss, Sigmoid
        >>> model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
        >>> x = np.random.default_rng(0).uniform(size=(100, 2))
        >>> y, sgd = x.sum(axis=1), SGD(learning_rate=0.1)
        >>> diagnosis = model.diagnose(x, y, loss=MSELoss(), optimizer=sgd)
        >>> diagnosis
        Diagnosis(1 error: targets_out_of_range)
        >>> diagnosis["targets_out_of_range"].evidence["highest_output"]
        1.0
        """
        from minigrad.diagnose import diagnose

        if loss is not None:
            loss = as_object(Loss, loss, "loss")
        if optimizer is not None:
            optimizer = as_object(Optimizer, optimizer, "optimizer")
        if batch_size is not None:
            batch_size = whole(batch_size, "batch_size", self)
        return diagnose(
            self,
            x,
            y,
            loss=loss,
            optimizer=optimizer,
            batch_size=batch_size,
            sample_weight=sample_weight,
            class_weight=class_weight,
        )

    def summary(self) -> None:
        """Print a table of the layers: their shapes, parameters, and whether they are trained.

        `minigrad.summary.summary(model)` returns the same text.
        """
        print(summary(self))

    def _rows_from(self, loss: Loss, class_weight: Mapping[int, float] | None = None) -> Accept:
        """Return what checks inputs, targets and weights, and makes rows of them."""

        def accept(x: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> Rows:
            return self._rows(x, y, loss, weight, class_weight)

        return accept

    def _rows(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: Loss,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> Rows:
        inputs, targets = as_pair(x, y)
        self.check_input_shape(inputs)
        assert self.output_shape is not None
        return as_rows(
            inputs,
            targets,
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
    def __repr__(self) -> str:
        """Return the code that makes it, and in comments what that can't say."""
        told = list(notes(self))
        if self._planned is not None:
            done = f"{self.history.epochs} of {self._planned}"
            told.insert(0, f"in the middle of training: {done} epochs are done")
        return "\n".join([code(self), *(f"# {note}" for note in told)])

    def _repr_html_(self) -> str:
        """Return a picture of it over the table of its layers, for a notebook."""
        import html

        from minigrad.views import network

        picture = network(self) if self.output_shape is not None else ""
        return f"{picture}<pre>{html.escape(summary(self))}</pre>"
