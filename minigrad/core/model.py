"""The model: layers one after another, trained on data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import override

from minigrad.callbacks.base import Callback, EpochFunction, as_callbacks
from minigrad.core.history import History
from minigrad.core.layer import Layer
from minigrad.core.supervised import Supervised
from minigrad.core.trainer import Trainer
from minigrad.data.arrays import Shape
from minigrad.data.batches import Batches, Stream, as_batches, as_validation
from minigrad.data.rows import Rows, split
from minigrad.losses import Loss
from minigrad.optimizers import Optimizer
from minigrad.summary import notes, summary
from minigrad.util.config import as_object, register
from minigrad.util.options import check_fraction, check_int
from minigrad.util.progress import Verbose, progress
from minigrad.util.random import RNGLike
from minigrad.util.repr import code

if TYPE_CHECKING:
    from minigrad.diagnose import Diagnosis


@register
class Sequential(Supervised):
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

    Attributes:
        history: the figures of all epochs so far.
        planned_epochs: how many there will be when the running `fit` ends, or would have been
            where it was cut short; else None.
        split_seed: chooses the rows that `validation_split` holds out; None until it has to.

    Raises:
        TypeError: something isn't a `Layer`, or `input_shape` is a number.
        ValueError: as `Chain`; another dtype, or a layer that was built in another; rows of that
            shape, which a layer can't take.

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
        self.history = History()
        self.split_seed: int | None = None
        self.planned_epochs: int | None = None

    def fit(
        self,
        x: ArrayLike | Batches | None = None,
        y: ArrayLike | None = None,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        steps_per_epoch: int | None = None,
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
            steps_per_epoch: the number of batches in an epoch of an iterable, which may be endless;
                the next epoch continues with the same iterator.
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
            TypeError, ValueError: data or options that can't be used, said before anything is
                changed; only later batches of an iterable are checked as they come.
            DivergedError: a loss or a gradient isn't finite, and the last good parameters are kept;
                or a step was so large that the parameters aren't.
        """
        optimizer, loss = self._compiled("fit")
        epochs = check_int(epochs, "epochs", "fit")
        if batch_size is not None:
            batch_size = check_int(batch_size, "batch_size", "fit")
        followers, speaker = as_callbacks(callbacks), progress(verbose)
        data = as_batches(
            x,
            y,
            self._rows_from(loss),
            sample_weight=sample_weight,
            epochs=epochs,
            steps=steps_per_epoch,
        )
        data, validation = self._parted(data, loss, validation_data, validation_split, epochs)
        if class_weight is not None:
            data = data.weighted_by_class(class_weight)
        if isinstance(data, Stream) and batch_size not in (None, 32):
            raise ValueError("batch_size needs arrays x and y: batches are taken as they come")
        run = Trainer(
            self,
            optimizer,
            loss,
            self.metrics,
            rng=self.rng if shuffle else None,
            past=self.history,
            progress=speaker,
            threads=threads,
        )
        self.planned_epochs = self.history.epochs + epochs
        history = run.run(
            data,
            epochs=epochs,
            batch_size=batch_size,
            validation=validation,
            callbacks=followers,
        )
        if not run.interrupted:
            self.planned_epochs = None
        return history

    def _parted(
        self,
        data: Rows | Stream,
        loss: Loss,
        validation_data: Batches | Sequence[ArrayLike] | None,
        validation_split: float,
        epochs: int,
    ) -> tuple[Rows | Stream, Rows | Stream | None]:
        """Return what to train on, and what to validate by."""
        if validation_data is not None:
            if validation_split:
                raise ValueError("give validation_data or validation_split, not both")
            return data, as_validation(validation_data, self._rows_from(loss), epochs=epochs)
        if not check_fraction(validation_split, "validation_split", "fit"):
            return data, None
        if isinstance(data, Stream):
            raise ValueError("validation_split needs arrays x and y: pass validation_data")
        if self.split_seed is None:
            self.split_seed = int(self.rng.bytes(4).hex(), 16)
        return split(data, validation_split, self.split_seed)

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
        from minigrad.saving import model as saving

        saving.save(self, path)

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
            batch_size = check_int(batch_size, "batch_size", "diagnose")
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

    @override
    def __repr__(self) -> str:
        """Return the code that makes it, and in comments what that can't say."""
        told = list(notes(self))
        if self.planned_epochs is not None:
            done = f"{self.history.epochs} of {self.planned_epochs}"
            told.insert(0, f"in the middle of training: {done} epochs are done")
        return "\n".join([code(self), *(f"# {note}" for note in told)])

    def _repr_html_(self) -> str:
        """Return a picture of it over the table of its layers, for a notebook."""
        import html

        from minigrad.plots.views import network

        picture = network(self) if self.output_shape is not None else ""
        return f"{picture}<pre>{html.escape(summary(self))}</pre>"
