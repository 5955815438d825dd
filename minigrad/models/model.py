"""Models: networks that can be trained, saved, drawn and explained."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import Never, Self, override

from minigrad.core.chain import Chain, name_layers
from minigrad.core.layer import Layer, walk
from minigrad.core.loss import Loss, as_loss
from minigrad.core.model import BaseModel
from minigrad.core.optimizer import Optimizer
from minigrad.core.trainer import Run, Trainer
from minigrad.data.arrays import Array, DType, Shape, check_finite
from minigrad.data.by_name import Arrays, Data, each, labelled, names_of
from minigrad.data.rows import Form, Rows, as_inputs, as_pair, as_rows
from minigrad.history import History
from minigrad.metrics.running import Metric
from minigrad.models.evaluation import Evaluation
from minigrad.models.last_good_epoch import LastGoodEpoch
from minigrad.models.sharing import separate_uses
from minigrad.util.config import Configurable, as_object, register
from minigrad.util.display import Display
from minigrad.util.fields import explained
from minigrad.util.names import check_name
from minigrad.util.options import check_bool, check_fraction, check_int
from minigrad.util.random import RNG, RNGLike

if TYPE_CHECKING:
    from minigrad.callbacks.base import Callback, EpochFunction
    from minigrad.data.class_weight import ClassWeight
    from minigrad.data.stream import Batches, Stream
    from minigrad.diagnose import Diagnosis
    from minigrad.explain import Explanation
    from minigrad.film import Film
    from minigrad.graphs.graph import Input
    from minigrad.graphs.joint_loss import Losses
    from minigrad.graphs.symbol import Symbol
    from minigrad.jit import JaxEngine
    from minigrad.metrics.named import Metrics
    from minigrad.objective import Objective
    from minigrad.util.progress import Verbose

EngineName: TypeAlias = Literal["numpy", "jax"]

_BATCH_SIZE = 32
"""The default of `fit`."""


@register
class Model(BaseModel):
    """A network that can be trained: any layer, with a dtype, an rng and one flat vector.

    A model is itself a layer, so models nest; the parameters of an inner model live in the vector
    of the outermost one. `trainer` is None before `compile`.

    Args:
        network: the layer that computes the prediction; see `Sequential` for a chain of layers.
        inputs, outputs: or the inputs of a graph (`Input`), and what layers called on them give:
            one, a list, or for outputs a dict, by name or as `Model(inputs, outputs)`. Several
            inputs are passed as a dict by name, several outputs are a dict by their layers' names,
            or by those given.
        input_shape: the shape of one row, such as (2,); without it the first data builds the model.
        rng: draws the initial weights and shuffles the rows: an int, a `SeedSequence`, a
            `Generator` or a `RandomState`. None draws a seed; `rng=model.seed` repeats the run.
        dtype: "float64" or "float32", of all parameters and computations, inner models included.
        name: see `Layer`.

    Raises:
        TypeError, ValueError: an unusable input shape or dtype, or a layer of another dtype.

    >>> from minigrad import Concatenate, Dense, Input, Residual
    >>> model = Model(Residual([Dense(3)]), input_shape=(3,), rng=0)
    >>> [path for path, _ in model.named_parameters()]
    ['residual_1.chain_1.dense_1.weight', 'residual_1.chain_1.dense_1.bias']
    >>> a, b = Input((4,), name="a"), Input((6,), name="b")
    >>> h = Concatenate()(Dense(8)(a), Dense(8)(b))
    >>> model = Model(inputs=[a, b], outputs=[Dense(1, name="price")(h), Dense(3, name="kind")(h)])
    >>> model.output_shape
    {'price': (1,), 'kind': (3,)}
    """

    trainer: Trainer | None = None

    def __init__(
        self,
        network: Layer | Input | Sequence[Input] | None = None,
        outputs: Symbol | Sequence[Symbol] | Mapping[str, Symbol] | None = None,
        *,
        inputs: Input | Sequence[Input] | None = None,
        input_shape: Shape | None = None,
        rng: RNGLike = None,
        dtype: DType = "float64",
        name: str = "",
    ) -> None:
        self.name = check_name(name, "name", self)
        if isinstance(network, Layer):
            if inputs is not None or outputs is not None:
                raise TypeError(f"{self.label} expects a layer, or inputs= and outputs=, got both")
        else:
            if network is not None and inputs is not None:
                raise TypeError(f"{self.label} got inputs twice: by position and by name")
            if input_shape is not None:
                raise TypeError(f"{self.label} has the shapes of its inputs: leave out input_shape")
            from minigrad.graphs.graph import graph_of

            network = graph_of(inputs if network is None else network, outputs, self.label)
            input_shape = network.input_shapes
        self.validation_seed: int | None = None
        """Chooses the rows that `validation_split` holds out; None before the first of them."""
        super().__init__(network, input_shape=input_shape, rng=rng, dtype=dtype, name=name)

    @override
    def build(self, input_shape: Shape, rng: RNG) -> Shape:
        for _, inner in walk(self) if not isinstance(self.network, Chain) else ():
            if isinstance(inner, Model) and inner.output_shape is None:
                inner.dtype = self.dtype  # a graph copies it for other uses
        return super().build(input_shape, rng)

    @override
    def check_built(self) -> None:
        self._build_if_known()
        super().check_built()

    @override
    def _build_if_needed(self, x: Data) -> None:
        self._build_if_known()
        super()._build_if_needed(x)

    def _build_if_known(self) -> None:
        """Build a chain that was made layer by layer, if its input shape is known."""
        if self.output_shape is None and isinstance(self.network, Chain):
            name_layers(self.network.layers, self.label)
            if self.input_shape is not None:
                self.build_for(self.input_shape)

    @override
    def _gather(self) -> None:
        from minigrad.graphs.graph import connect
        from minigrad.models.assignments import refuse_assignments

        layers = [layer for _, layer in walk(self)]
        refuse_assignments(self._places, layers, *filter(None, [self.loss]))
        separate_uses(layers)
        super()._gather()
        for layer in layers:
            if isinstance(layer, Model) and layer.network.output_shape is not None:
                connect(layer)

    @property
    def input(self) -> Any:
        """The symbol of the input, of several a list: `Model(inputs=model.input, outputs=...)`."""
        from minigrad.graphs.graph import connect

        return connect(self)[0]

    @property
    @override
    def output(self) -> Any:
        """The symbol of the network's output, of several a dict of them by name."""
        from minigrad.graphs.graph import connect

        return connect(self)[1]

    @override
    def as_input(self, *inputs: Data) -> Data:
        """Return an array, or a dict of several inputs, which may be given in order."""
        names = self.input_names
        if len(inputs) == 1:
            return as_inputs(inputs[0], names)
        if len(inputs) != len(names):
            raise TypeError(f"{self.label} expects {len(names) or 1} inputs, got {len(inputs)}")
        return as_inputs(inputs, names)

    @override
    def astype(self, dtype: DType) -> Self:
        twin = super().astype(dtype)
        if twin.optimizer is not None:
            state = twin.optimizer.state
            twin.optimizer.state = {name: a.astype(twin.dtype) for name, a in state.items()}
        return twin

    @explained
    def compile(
        self,
        optimizer: Optimizer | str,
        loss: Losses,
        metrics: Metrics = (),
        *,
        loss_weights: Mapping[str, float] | Sequence[float] | None = None,
    ) -> None:
        """Set how the model is trained; its history goes on.

        Args:
            optimizer: such as `SGD(learning_rate=0.1)`, or a name for its defaults: "sgd".
            loss: such as `MSELoss()`, or a name for its defaults: "mse"; for several outputs a dict
                of them, or a list in the order of the outputs.
            metrics: names such as "mae" or "top_3_accuracy", or functions of (target, prediction);
                for several outputs a dict of such lists, or a list of them in order.
            loss_weights: for several outputs, a factor for the `scale` of each loss.

        Raises:
            TypeError, ValueError: an unknown name, a class in place of an object, or an optimizer
                that has trained another model. A model that ends in Softmax or Sigmoid before a
                loss that takes logits gets a UserWarning.
        """
        optimizer = as_object(Optimizer, optimizer, "optimizer")
        self._build_if_known()
        optimizer.check_owner(p for _, p in self.named_parameters())
        loss = self._as_loss(loss)
        if loss_weights is not None:
            from minigrad.graphs.joint_loss import weighted_losses

            loss = weighted_losses(loss, loss_weights, names_of(self.output_layers))
        losses = loss.losses or loss
        named: Mapping[str, Metric] = {}
        if not isinstance(metrics, Sequence | Mapping | None) or metrics:
            from minigrad.metrics.named import named_metrics

            named = named_metrics(metrics, losses)
        each(_warn_of_logits, losses, self.output_layers)
        self.trainer = Trainer(self, optimizer, loss, named, self.history)

    @property
    def optimizer(self) -> Optimizer | None:
        """The optimizer; None before `compile`."""
        return self.trainer.optimizer if self.trainer else None

    @property
    def loss(self) -> Loss | None:
        """The loss; None before `compile`."""
        return self.trainer.loss if self.trainer else None

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics by name; none before `compile`."""
        return self.trainer.metrics if self.trainer else {}

    @property
    def history(self) -> History:
        """The logs of all epochs so far."""
        return self.trainer.history if self.trainer else History()

    def fit(
        self,
        x: Arrays | Batches | None = None,
        y: Arrays | None = None,
        *,
        epochs: int = 1,
        batch_size: int | None = _BATCH_SIZE,
        shuffle: bool = True,
        validation_data: Batches | Sequence[Arrays] | None = None,
        validation_split: float = 0.0,
        sample_weight: Arrays | None = None,
        class_weight: ClassWeight | None = None,
        validation_freq: int = 1,
        steps_per_epoch: int | None = None,
        accumulate: int = 1,
        callbacks: Sequence[Callback | EpochFunction] | None = None,
        verbose: Verbose = "auto",
        threads: int | None = None,
        engine: EngineName | JaxEngine = "numpy",
        **_unknown: Never,
    ) -> History:
        """Train for some epochs, or until Ctrl-C; another call continues from there.

        After Ctrl-C the running step is finished and the history so far is returned; a second
        Ctrl-C raises KeyboardInterrupt at once.

        Args:
            x: rows of the input shape, real and finite; a memory-mapped file is read in blocks. For
                several inputs a dict by name, or a list in their order. Without y: an iterable of
                batches, (x, y) or (x, y, sample_weight), or a function that returns one.
            y: a target for each row; for several outputs a dict or a list, as x.
            epochs: how often to run through all rows.
            batch_size: rows in a step; None takes all as one batch. An iterable has its own.
            shuffle: draw a new order of the rows each epoch; not for an iterable or one batch.
            validation_data: (x, y), (x, y, sample_weight) or an iterable of such batches, evaluated
                after each epoch.
            validation_split: or the fraction of the rows that is held out for that, chosen at
                random; later calls with the same rows and fraction hold out the same. With
                `shuffle=False`, the last rows are held out.
            sample_weight: a weight for each row, or for each term, of the predictions' first axes,
                such as (n, time); means of the loss and of metrics become weighted means.
            class_weight: a weight for each class, multiplied into the training weights; or
                "balanced", so that all classes count alike.
            validation_freq: evaluates the validation rows after every `validation_freq`-th epoch.
            steps_per_epoch: the batches an epoch takes from an iterable; None takes all.
            accumulate: the batches whose gradients are added up for one step, so that a step has
                accumulate * batch_size rows, in the memory of batch_size.
            callbacks: `Callback` objects, or functions of (epoch, logs).
            verbose: 1 or "auto" shows a progress bar on a terminal, with batches per second, and
                elsewhere a line for each epoch, or at most one a second in a run of over 50 epochs;
                2 shows a line for each epoch everywhere, 0 nothing.
            threads: that share a large batch, without a change of the result; None takes
                MINIGRAD_THREADS, or one a core.
            engine: "numpy", or "jax" to run the same steps with JAX, on all devices that JAX has;
                see "The JAX engine" in the docs. `minigrad.jit.JaxEngine(devices=...)` takes
                fewer. It needs `pip install jax`.

        Returns:
            The history of this call; `model.history` holds that of all calls. The loss includes
            the regularizers, those of frozen parameters too.

        Raises:
            RuntimeError: the model isn't compiled.
            TypeError, ValueError: unusable data or options, found before anything is changed;
                only later batches of an iterable are checked as they come.
            DivergedError: a loss, a gradient or a parameter isn't finite.
        """
        from minigrad.blocks.block_gradient import BlockGradient
        from minigrad.callbacks.base import as_callbacks

        if _unknown:
            from minigrad.util.arguments import refuse_options

            refuse_options(_unknown, self.fit)
        trainer, jax = self._trainer("fit"), _jax_engine(engine)
        loss = trainer.loss
        epochs = check_int(epochs, "epochs", "fit")
        if batch_size is not None:
            batch_size = check_int(batch_size, "batch_size", "fit")
        shuffle = check_bool(shuffle, "shuffle", "fit")
        found, shown = as_callbacks(callbacks), _display(verbose)
        data = self._data(x, y, sample_weight, loss=loss, epochs=epochs, steps=steps_per_epoch)
        if not isinstance(data, Rows) and batch_size not in (None, _BATCH_SIZE):
            raise ValueError("batch_size needs arrays x and y, got an iterable of batches")
        validation = None
        if validation_data is not None:
            from minigrad.data.validation import as_validation

            read = partial(self._data, loss=loss, epochs=epochs)
            validation = as_validation(validation_data, read)
        if fraction := check_fraction(validation_split, "validation_split", "fit"):
            if validation is not None:
                raise ValueError("fit takes validation_data or validation_split, not both")
            from minigrad.data.validation import split

            if shuffle and self.validation_seed is None:
                self.validation_seed = int(self.rng.bytes(4).hex(), 16)
            data, validation = split(data, fraction, self.validation_seed if shuffle else None)
        validation_freq = check_int(validation_freq, "validation_freq", "fit")
        if validation_freq > 1 and validation is None:
            raise ValueError("validation_freq needs validation_data or validation_split")
        if class_weight is not None:
            from minigrad.data.class_weight import weighted_by_class

            data = weighted_by_class(data, class_weight, self.output_shape or ())
        self._gather()
        gradient = BlockGradient(self._computed, loss, parameters=self.parameters, threads=threads)
        if check_int(accumulate, "accumulate", "fit") > 1:
            batch_size = gradient.accumulate(accumulate, batch_size, data)
        if isinstance(data, Rows):
            _check_batches(self, data, batch_size)
            data = data if jax else data.for_epochs(batch_size, gradient.rows)
        make_run = jax.make_run if jax else Run
        run = make_run(
            gradient=gradient,
            data=data,
            batch_size=batch_size,
            rng=self.rng if shuffle else None,
            good=LastGoodEpoch(self, trainer.optimizer),
            evaluation=self._evaluation(trainer, gradient.rows, jax),
            validation=validation,
            validation_freq=validation_freq,
            callbacks=found,
            progress=shown,
        )
        return trainer.fit(run, epochs)

    def train_on_batch(self, x: Arrays, y: Arrays, **options: Any) -> Any:
        """Make one training step, and return the loss; see `minigrad.models.by_batch.step`."""
        from minigrad.models.by_batch import step

        return step(self._trainer("train_on_batch"), self._computed, self._rows, x, y, **options)

    def test_on_batch(self, x: Arrays, y: Arrays, **options: Any) -> Any:
        """Return the loss of a batch; see `minigrad.models.by_batch.measure`."""
        from minigrad.models.by_batch import measure

        return measure(self._trainer("test_on_batch"), self._computed, self._rows, x, y, **options)

    @explained
    def evaluate(
        self,
        x: Arrays | Batches,
        y: Arrays | None = None,
        *,
        batch_size: int | None = None,
        sample_weight: Arrays | None = None,
        verbose: Verbose = 0,
        engine: EngineName | JaxEngine = "numpy",
    ) -> dict[str, float]:
        """Return the loss and the metrics over all rows, by name; arguments and errors as `fit`.

        `batch_size` is how many rows are computed at once; None takes what fits the cache. It
        changes the result by rounding only.
        """
        from minigrad.blocks.plan import Plan

        trainer, jax = self._trainer("evaluate"), _jax_engine(engine)
        shown = _display(verbose, "evaluate")
        data = self._data(x, y, sample_weight, loss=trainer.loss)
        if batch_size is not None:
            batch_size = check_int(batch_size, "batch_size", "evaluate")
            if not isinstance(data, Rows):
                raise ValueError("batch_size needs arrays x and y, got an iterable of batches")
        return self._evaluation(trainer, batch_size or Plan(self).rows, jax)(data, shown)

    @explained
    def predict(
        self,
        x: Data,
        *,
        batch_size: int | None = None,
        verbose: Verbose = 0,
        threads: int | None = None,
        engine: EngineName | JaxEngine = "numpy",
    ) -> Any:
        """Return the outputs for all rows; safe to call from many threads at once.

        `batch_size` is that of `evaluate`, the other arguments are those of `fit`.

        Raises:
            TypeError: x isn't real numbers.
            ValueError: x is empty, has NaN or infinity, or rows of another shape.
        """
        from minigrad.blocks.block_gradient import predict

        if batch_size is not None:
            batch_size = check_int(batch_size, "batch_size", "predict")
        jax, shown = _jax_engine(engine), _display(verbose, "predict")
        inputs, network = self._inputs(x), self._computed
        forward = jax.Forward(network) if jax else None
        return predict(
            network, inputs, self.dtype, batch_size, threads=threads, forward=forward, shown=shown
        )

    def activations(self, x: Arrays) -> dict[str, Array]:
        """Return what each layer outputs for these rows in inference, by its path, in order."""
        from minigrad.trace import trace

        recorded = trace(self, self.cast(self._inputs(x), self.dtype), training=False)
        return {step.path: step.output for step in recorded.steps if step.path}

    def objective(
        self,
        x: Arrays,
        y: Arrays,
        *,
        loss: Loss | str | None = None,
        sample_weight: Arrays | None = None,
        engine: EngineName | JaxEngine = "numpy",
    ) -> Objective:
        """Return theta -> (J, dJ/dtheta) over these rows, for SciPy's optimizers; see `Objective`.

        The arguments are those of `fit`, and `loss` is by default the compiled one.
        """
        from minigrad.blocks.block_gradient import BlockGradient
        from minigrad.objective import Objective

        loss = self._loss_for("objective", loss)
        rows = self._rows(x, y, sample_weight, loss=loss)
        jax = _jax_engine(engine)
        return Objective(self, loss, rows, jax.Gradient if jax else BlockGradient)

    def explain(
        self,
        x: Arrays,
        y: Arrays,
        *,
        loss: Loss | str | None = None,
        optimizer: Optimizer | str | None = None,
    ) -> Explanation:
        """Show a training step on a few rows as equations with their numbers.

        The explanation has the forward and the backward pass, and with an optimizer the update and
        the loss after it. It prints as text, and can be written as LaTeX and as a page to step
        through; see `Explanation`. The model and the optimizer aren't changed. `loss` and
        `optimizer` are by default the compiled ones.
        """
        from minigrad.explain import Explanation

        loss = self._loss_for("explain", loss)
        if optimizer is not None:
            optimizer = as_object(Optimizer, optimizer, "optimizer")
        rows = self._rows(x, y, loss=loss).take(slice(None))
        return Explanation(self, rows.x, rows.y, loss, optimizer or self.optimizer)

    def diagnose(self, x: Arrays, y: Arrays, **options: Any) -> Diagnosis:
        """Find what keeps the model from learning these rows; see `minigrad.diagnose.diagnose`."""
        from minigrad.diagnose import diagnose

        return diagnose(self, x, y, **options)

    def film(self, x: Arrays, y: Arrays, **options: Any) -> Film:
        """Train, and return a film of it; see `minigrad.film.film`."""
        from minigrad.film import film

        return film(self, x, y, **options)

    def summary(self) -> None:
        """Print a table of the layers: shapes, parameters, and whether they are trained."""
        from minigrad.summary import summary

        self._build_if_known()
        print(summary(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model into one safetensors file; `minigrad.load(path)` reads it.

        The file holds what training needs to continue in the same bits, except callbacks and the
        optimizer and loss of an inner model; of a function, such as a metric, it holds the name.
        The write is atomic. An option that a file can't hold raises TypeError.
        """
        from minigrad.saving.model import save

        save(self, path, self.trainer, self.validation_seed)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and buffers, by path, into a safetensors file."""
        from minigrad.saving.weights import save_weights

        save_weights(self, path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Read parameters and buffers from a file of `save_weights`, `save` or another tool.

        Other names or shapes raise `FileFormatError`, and the model stays as it was.
        """
        from minigrad.saving.weights import load_weights

        load_weights(self, path)

    def _inputs(self, x: Data) -> Data:
        """Validate inputs; an unbuilt model is built for them."""
        data = as_inputs(x, self.input_names)
        for label, array in labelled(data, "x"):
            check_finite(array, label)
        self._build_if_needed(data)
        self.check_rows(data, self.input_shape)
        _ = self.parameters  # gathers again if an attribute was replaced or added since
        return data

    def _trainer(self, call: str) -> Trainer:
        if self.trainer is None:
            raise RuntimeError(
                f"{call} needs a compiled model: call model.compile(optimizer=..., loss=...) first"
            )
        return self.trainer

    def _as_loss(self, given: Any) -> Loss:
        """Return a loss; for several outputs, one that has a loss for each of them."""
        outputs = names_of(self.output_layers)
        if outputs or isinstance(given, Mapping):
            from minigrad.graphs.joint_loss import as_losses

            given = as_losses(given, outputs)
        loss = as_loss(given)
        if loss.losses and not outputs:
            raise ValueError(
                f"{self.label} has a single output, got losses for {list(loss.losses)}"
            )
        return loss

    def _loss_for(self, call: str, loss: Loss | str | None) -> Loss:
        """Return the given loss, or else the compiled one."""
        if loss is not None:
            return self._as_loss(loss)
        if self.loss is None:
            raise RuntimeError(
                f"{call} needs a loss: pass one, such as loss=MSELoss(), or compile the model"
            )
        return self.loss

    def _rows(
        self, x: Arrays, y: Arrays, sample_weight: Arrays | None = None, *, loss: Loss
    ) -> Rows:
        """Validate inputs, targets and weights; an unbuilt model is built for them."""
        inputs, targets = as_pair(x, y, self.input_names, names_of(self.output_layers))
        self._build_if_needed(inputs)
        return as_rows(inputs, targets, sample_weight, self._form(loss))

    def _form(self, loss: Loss) -> Form:
        return Form(loss, self.output_shape, self.network, self.input_shape, self.dtype)

    def _data(
        self,
        x: Any,
        y: Arrays | None,
        sample_weight: Arrays | None = None,
        *,
        loss: Loss,
        epochs: int = 1,
        steps: int | None = None,
    ) -> Rows | Stream:
        """Return arrays x and y as rows, and an iterable of batches (without y) as a stream."""
        if y is not None and x is not None:
            if steps is not None:
                raise ValueError(
                    "steps_per_epoch needs an iterable of batches: set batch_size instead"
                )
            return self._rows(x, y, sample_weight, loss=loss)
        if sample_weight is not None:
            raise TypeError("sample_weight needs x and y: batches are (x, y, sample_weight)")
        from minigrad.data.stream import Stream

        names = self.input_names, names_of(self.output_layers)
        stream = Stream(x, names, epochs=epochs, steps=steps)
        self._build_if_needed(stream.first_inputs)
        return stream.of(self._form(loss))

    def _evaluation(self, trainer: Trainer, rows: int, jax: JaxEngine | None) -> Evaluation:
        """Return what reports the loss and the metrics, by blocks of rows."""
        forward = partial(jax.Forward, self) if jax else None
        return Evaluation(self, trainer.loss, trainer.metrics, rows, forward)

    @override
    def get_config(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "input_shape": self.input_shape,
            "rng": None,
            "dtype": self.dtype.name,
            "name": self.name,
        }

    @override
    def repr_arguments(self) -> list[tuple[str, Any]]:
        """Return the arguments that a repr shows, those of a subclass's own included."""
        shown, known = super().repr_arguments(), {*self.get_config(), "inputs", "outputs"}
        if own := [name for name in signature(type(self)).parameters if name not in known]:
            config = Configurable.get_config(self)
            shown += [(f"{name}=", config[name]) for name in own]
        return shown

    @override
    def __repr__(self) -> str:
        """Return the code that makes it, with comments for what the code doesn't say."""
        from minigrad.summary import code

        return code(self, done=self.history.epochs, planned=getattr(self.trainer, "epochs", 0))

    def _repr_html_(self) -> str:
        """Return the diagram and the table of the layers, for a notebook."""
        from minigrad.plots import html

        return html(self)


def _display(verbose: Verbose, title: str = "fit") -> Display:
    """Return what shows the progress of a method."""
    if isinstance(verbose, int) and verbose == 0:
        return Display()
    from minigrad.util.progress import progress

    return progress(verbose, title)


def _jax_engine(engine: EngineName | JaxEngine) -> JaxEngine | None:
    """Return the engine of JAX; None for NumPy's."""
    if isinstance(engine, str) and engine == "numpy":
        return None
    from minigrad.models.engines import jax_engine

    return jax_engine(engine)


def _warn_of_logits(loss: Loss, last: Layer) -> None:
    while last.children:
        last = last.children[-1]
    if loss.takes_logits and last.gives_probabilities:
        warnings.warn(
            f"{loss.label} takes logits, and {last.label} turns them into probabilities before: "
            f"leave {last.label} out",
            stacklevel=5,
        )


def _check_batches(model: Layer, data: Rows, batch_size: int | None) -> None:
    if not data.total:
        raise ValueError(f"all {len(data)} training rows have weight 0")
    last = len(data) if batch_size is None else (len(data) - 1) % batch_size + 1
    for _, layer in walk(model):
        if last < layer.min_batch_size:
            raise ValueError(
                f"{layer.label} expects at least {layer.min_batch_size} rows in a training "
                f"batch, got {last} in the last one ({len(data)} rows, batch_size="
                f"{batch_size}): choose another batch_size"
            )
