"""Both engines make the same steps: every registered class, and custom layers in plain NumPy."""

import copy

import numpy as np
import pytest

from helpers import Scale, Swish, rows_for
from minigrad import (
    GRU,
    L2,
    LSTM,
    SGD,
    Activation,
    Adam,
    BatchNorm,
    Bidirectional,
    Concatenate,
    CrossEntropyLoss,
    Dense,
    Dropout,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Input,
    Layer,
    LogSoftmax,
    Loss,
    Mask,
    Model,
    MSELoss,
    MultiHeadAttention,
    Optimizer,
    Parameter,
    Regularizer,
    Residual,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Tanh,
)
from minigrad.checks.single import model_of
from minigrad.core.layer import walk
from minigrad.util.random import is_rng, rng_state
from registered_examples import JOINT, LOSSES, ONE_OF_EACH, OPTIMIZERS

pytest.importorskip("jax")

from minigrad.jit import JaxEngine, operations
from minigrad.jit.devices import Devices
from minigrad.jit.gradient_program import GradientProgram

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = X @ RNG.normal(size=(3, 2))


def everything(model: Model) -> dict[str, np.ndarray]:
    """What training changes."""
    arrays = {"grad": model.parameters.grad, "value": model.parameters.value}
    arrays |= model.optimizer.state | {"steps": np.array(model.optimizer.steps)}
    for path, layer in walk(model):
        arrays |= {f"{path}.{name}": getattr(layer, name) for name in layer.buffers}
    return arrays


def rngs_of(model: Model):
    values = [value for _, layer in walk(model) for value in vars(layer).values()]
    return [model.rng, *filter(is_rng, values)]


def check_same(model: Model, *data, **options) -> int:
    """Fit two copies, each with its engine, and compare all that they leave.

    Returns:
        The number of steps that the JAX engine left to NumPy.
    """
    options = {"batch_size": None, "shuffle": False, "verbose": 0, **options}
    models, engine = {"numpy": model, "jax": copy.deepcopy(model)}, JaxEngine()
    engines = {"numpy": "numpy", "jax": engine}
    logs = {
        name: m.fit(*data, engine=engines[name], **copy.deepcopy(options))
        for name, m in models.items()
    }
    tolerance = TOLERANCE[model.dtype.name]
    ours, theirs = (everything(m) for m in models.values())
    for name, expected in ours.items():
        scale = max(1.0, np.abs(expected).max(initial=0))
        assert theirs[name].dtype == expected.dtype
        np.testing.assert_allclose(
            theirs[name], expected, rtol=0, atol=tolerance * scale, err_msg=name
        )
    ours, theirs = (repr([*map(rng_state, rngs_of(m))]) for m in models.values())
    assert theirs == ours
    assert list(logs["jax"]) == list(logs["numpy"])
    for name, expected in logs["numpy"].items():
        np.testing.assert_allclose(logs["jax"][name], expected, rtol=10 * tolerance, err_msg=name)
    return engine.by_numpy


def jitted(layers, *, loss=None, optimizer=None, dtype="float64", **options) -> Sequential:
    model = Sequential(layers, input_shape=(3,), rng=1, dtype=dtype)
    model.compile(optimizer=optimizer or SGD(learning_rate=0.1), loss=loss or MSELoss(), **options)
    return model


def check_layer(layer: Layer, shape, dtype: str = "float64") -> None:
    x, model = rows_for(layer, shape), model_of(layer, shape, dtype=dtype)
    y = np.random.default_rng(3).normal(size=model.predict(x).shape)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    check_same(model, x, y)
    if dtype == "float64":
        found = model.predict(x, engine="jax")
        np.testing.assert_allclose(found, model.predict(x), rtol=1e-12, atol=1e-14)


def test_layers(any_layer_example) -> None:
    check_layer(*any_layer_example)


@pytest.mark.parametrize("example", ONE_OF_EACH, ids=lambda e: repr(e[0]))
def test_layers_in_float32(example) -> None:
    check_layer(*copy.deepcopy(example), "float32")


@pytest.mark.parametrize(("loss", "prediction", "target"), LOSSES, ids=lambda e: str(e)[:30])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(loss: Loss, prediction, target, weighted: bool) -> None:
    last = [Sigmoid()] if prediction.min() > 0 else [LogSoftmax()] if prediction.max() <= 0 else []
    layers = [Dense(3), *last]
    model = Sequential(layers, input_shape=prediction.shape[1:], rng=1)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=copy.deepcopy(loss))
    weight = np.array([1.0, 0.0, 2.0, 0.5, 3.0]) if weighted else None
    check_same(model, prediction, target, sample_weight=weight)


def check_optimizer(optimizer: Optimizer, dtype: str) -> None:
    """Compare three steps with a state, of which a frozen layer has none."""
    model = jitted([Dense(4, "tanh"), Dense(3), Dense(2)], optimizer=optimizer, dtype=dtype)
    model[1].trainable = False
    check_same(model, X, Y, batch_size=7)


def test_optimizers(optimizer: Optimizer) -> None:
    check_optimizer(optimizer, "float64")


@pytest.mark.parametrize("cls", sorted({type(o) for o in OPTIMIZERS}, key=lambda c: c.__name__))
def test_optimizers_in_float32(cls: type[Optimizer]) -> None:
    check_optimizer(cls(), "float32")


def test_regularizers(regularizer: Regularizer) -> None:
    check_same(jitted([Dense(2, weight_regularizer=regularizer)]), X, Y, epochs=2)


def test_shared_parameters() -> None:
    weight = Parameter(RNG.normal(size=(3, 3)), regularizer=L2(0.1))
    layers = [Dense(3, "tanh", weight=weight), Residual(Dense(3, weight=weight)), Dense(2)]
    check_same(jitted(layers), X, Y, batch_size=8)


def test_graph_with_several_inputs_and_outputs() -> None:
    a, b = Input((3,), name="a"), Input((2,), name="b")
    h = Concatenate()(Dense(4, "tanh")(a), Dense(2)(b))
    outputs = [Dense(1, name="price")(h), Dense(3, name="kind")(h)]
    model = Model(inputs=[a, b], outputs=outputs, rng=0)
    model.compile(optimizer=Adam(), loss=copy.deepcopy(JOINT), metrics={"kind": ["accuracy"]})
    x = {"a": X, "b": Y}
    y = {"price": X[:, :1], "kind": RNG.integers(3, size=20)}
    weight = {"price": RNG.uniform(size=20), "kind": RNG.uniform(size=20)}
    check_same(model, x, y, epochs=2, batch_size=8, shuffle=True, validation_data=(x, y))
    check_same(model, x, y, batch_size=None, sample_weight=weight)


@pytest.mark.parametrize(
    "masked",
    [
        SimpleRNN(3, return_sequences=True, go_backwards=True),
        GRU(3, recurrent_dropout=0.2),
        LSTM(3, dropout=0.2, recurrent_dropout=0.2, return_sequences=True),
        Bidirectional(LSTM(2)),
        MultiHeadAttention(num_heads=2, key_dim=3),
        GlobalAveragePooling1D(),
        GlobalMaxPooling1D(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_masks(masked: Layer) -> None:
    """Each batch has rows of other lengths."""
    x = RNG.normal(size=(12, 10, 4))
    x[np.arange(10) >= RNG.integers(1, 11, size=12)[:, np.newaxis]] = 0
    rows = Input((10, 4))
    h = masked(Dense(4)(rows), Mask()(rows))
    model = Model(inputs=rows, outputs=Dense(2)(h), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss(), metrics=["mae"])
    y = RNG.normal(size=model.predict(x).shape)
    check_same(model, x, y, batch_size=4, epochs=2, shuffle=True)
    np.testing.assert_allclose(model.predict(x, engine="jax"), model.predict(x), rtol=1e-12)


@pytest.mark.parametrize(("steps", "dtype"), [(1, "float64"), (7, "float64"), (40, "float32")])
def test_recurrent_layers_as_loops(steps: int, dtype: str) -> None:
    """Long ones run as loops, and short ones unrolled."""
    layers = [LSTM(3, return_sequences=True), GRU(3, return_sequences=True, go_backwards=True)]
    layers += [Bidirectional(SimpleRNN(3, recurrent_dropout=0.1)), Dense(2)]
    model = Sequential(layers, input_shape=(steps, 3), rng=1, dtype=dtype)
    model.compile(optimizer=Adam(), loss=MSELoss())
    check_same(model, RNG.normal(size=(8, steps, 3)), Y[:8], batch_size=4, epochs=2)


def test_a_loop_over_time_is_compiled_as_a_loop() -> None:
    """Otherwise XLA takes 13 seconds for 50 steps, and minutes for more."""
    model = Sequential([LSTM(3), Dense(2)], input_shape=(50, 3), rng=1)
    batch = RNG.normal(size=(4, 50, 3)), Y[:4], None
    program = GradientProgram(model, MSELoss(), batch).program
    unrolled = len(program.instructions)
    rolled = sum((loop.iterations - 1) * loop.period for loop in program.loops.values())
    assert len(program.loops) >= 2
    assert unrolled - rolled < 250


class WithMethods(Layer):
    """Attention over features, with NumPy's ways to write into arrays."""

    def forward(self, x, *, training=True):
        scores = np.zeros((len(x), x.shape[1] + 1))
        scores[:, :-1] = x
        scores[:, 1::2] *= 2.0
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.einsum("ij->i", scores)[:, None]
        if training:
            self.cache = scores
        return np.stack([scores[:, i] for i in range(x.shape[1])], axis=1)

    def backward(self, delta):
        scores = self.cache
        whole = np.zeros(scores.shape)
        whole[:, :-1] = delta
        back = scores * (whole - (whole * scores).sum(axis=1, keepdims=True))
        back[:, 1::2] *= 2.0
        return back[:, :-1]


class Noise(Layer):
    """Adds noise by other methods of the generator than Dropout, and by a generator of its own."""

    stochastic = True

    def build(self, input_shape, rng):
        self.rng, self.own = rng, np.random.default_rng(5)
        return input_shape

    def forward(self, x, *, training=True):
        if not training:
            return x.copy()
        noise = self.own.random(x.shape, np.float32) - self.rng.random(x.shape[1:])
        noise += self.rng.normal(0, 0.1, size=x.shape) + self.own.random(3)[:1]
        return x + (noise * self.rng.random()).astype(x.dtype)

    def backward(self, delta):
        return delta.copy()


class Counting(Layer):
    """A running mean in a buffer, and a branch on it."""

    buffers = ("mean",)

    def build(self, input_shape, rng):
        self.mean = np.zeros(input_shape)
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
        if self.mean.sum() > 0.1:
            return x - self.mean
        return x - 2 * self.mean

    def backward(self, delta):
        return delta.copy()


class Picking(Activation):
    """Writes through masks and with `np.add.at`."""

    def function(self, z):
        a = z.copy()
        a[z < 0] = 0.5
        np.add.at(a.reshape(-1), np.array([0, 0, 1]), 1.0)
        return a

    def derivative(self, cached):
        slope = np.ones_like(cached)
        slope[cached < 0] = 0
        return slope


@DTYPES
@pytest.mark.parametrize("layer", [Scale(), Swish(), Noise(), Counting(), Picking()], ids=repr)
def test_custom_layers(layer: Layer, dtype: str) -> None:
    model = jitted([Dense(4), copy.deepcopy(layer), Dense(2)], dtype=dtype)
    check_same(model, X, Y, batch_size=8, shuffle=True)


def test_custom_layer_that_writes_into_new_arrays() -> None:
    check_same(jitted([Dense(4), WithMethods(), Dense(2)]), X, Y, batch_size=8)


def test_custom_loss_optimizer_and_regularizer() -> None:
    class LogCosh(Loss):
        def terms(self, prediction, target):
            error = prediction - target
            return np.log(np.cosh(error)), np.tanh(error)

    class Lion(Optimizer):
        slots = ("mean",)

        def update(self, value, grad, state):
            mean = state["mean"]
            value -= self.rate * np.sign(0.9 * mean + 0.1 * grad)
            mean *= 0.99
            mean += 0.01 * grad

    class L4(Regularizer):
        def __init__(self):
            pass

        def value(self, weight):
            return (weight**4).sum().item()

        def derivative(self, weight):
            return 4 * weight**3

    layers = [Dense(4, "tanh", weight_regularizer=L4()), Dense(2)]
    model = jitted(layers, loss=LogCosh(), optimizer=Lion(learning_rate=0.01))
    check_same(model, X, Y, batch_size=8, epochs=2)


def test_dropout_and_order_of_rows(monkeypatch) -> None:
    """All draw from one generator, in turn; the last batch is shorter."""
    monkeypatch.setattr("minigrad.jit.pcg64._FEWEST", 2)
    layers = [Dense(6, use_bias=False), BatchNorm(), Tanh(), Dropout(0.3), Noise(), Dense(2)]
    model = jitted(layers, optimizer=Adam(), metrics=["mae"])
    check_same(model, X, Y, batch_size=6, shuffle=True, epochs=3, validation_split=0.2)


def test_whole_fit_with_everything() -> None:
    model = jitted(
        [Dense(6, "relu", weight_regularizer=L2(0.01)), Dense(3)],
        loss=CrossEntropyLoss(),
        optimizer=SGD(learning_rate=lambda t: 0.1 / (1 + t), momentum=0.9, clip_norm=0.3),
        metrics=["accuracy"],
    )
    labels = RNG.integers(3, size=20)
    check_same(
        model,
        X,
        labels,
        batch_size=6,
        shuffle=True,
        epochs=4,
        class_weight={0: 1.0, 1: 2.0, 2: 0.5},
        sample_weight=RNG.uniform(size=20),
        validation_data=(X[:7], labels[:7]),
    )


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """Blocks of 7 rows; two batches an epoch, since NumPy makes a full batch in blocks."""
    monkeypatch.setattr("minigrad.blocks.plan.BLOCK_BYTES", 1)
    monkeypatch.setattr("minigrad.blocks.plan._MIN_BLOCK_ROWS", 7)


TWICE = np.concatenate([X, X[::-1]]), np.concatenate([Y, Y[::-1]])


def test_batches_in_blocks(small_blocks, tmp_path) -> None:
    """Blocks of 7, 7 and 6 rows; those of a file are read where they lie."""
    model = jitted([Dense(4, "tanh", weight_regularizer=L2(0.1)), Dense(2)], metrics=["mae"])
    weight = RNG.uniform(size=40)
    assert check_same(model, *TWICE, batch_size=20, epochs=2) == 0
    assert check_same(model, *TWICE, batch_size=20, epochs=2, sample_weight=weight) == 0
    assert check_same(model, TWICE[0][:28], TWICE[1][:28], batch_size=14) == 0
    assert check_same(model, X, Y) == 1  # a full batch
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(40, 3))
    x[...] = TWICE[0]
    assert check_same(model, x, TWICE[1], batch_size=20) == 0
    for kept in (True, False):
        placed = Devices(1).place(x, kept=kept)
        assert (placed.unsafe_buffer_pointer() == x.ctypes.data) is not kept


def test_batches_in_blocks_with_draws_and_buffers(small_blocks) -> None:
    """A block's layers draw in turn before those of the next block, which finds new buffers."""
    layers = [Dropout(0.3), Dense(4, "tanh"), Counting(), Noise(), Dense(2)]
    model = jitted(layers, metrics=["mae"])
    weight = RNG.uniform(size=40)
    assert check_same(model, *TWICE, batch_size=20, epochs=2, sample_weight=weight) < 4
    assert check_same(model, TWICE[0][:28], TWICE[1][:28], batch_size=14) < 2


@pytest.mark.parametrize("rows", [2, 130])
def test_product_with_a_transpose(rows: int) -> None:
    a, b = np.arange(3.0 * rows).reshape(rows, 3), np.arange(450.0).reshape(150, 3)
    np.testing.assert_array_equal(operations.flipped_dot(a, b), a @ b.T)


def test_streams_and_files(tmp_path) -> None:
    """Batches of several lengths, some of them in arrays that are used again."""
    memory = np.empty((4, 3))

    def batches():
        for start in range(0, 18, 4):
            rows = slice(start, min(start + 4, 18))
            x = memory[: rows.stop - rows.start]
            x[...] = X[rows]
            yield x, Y[rows]

    check_same(jitted([Dense(4), Dense(2)], metrics=["mae"]), batches, batch_size=32, epochs=2)
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    x[...] = X
    model = jitted([Dense(4), Dense(2)])
    check_same(model, x, Y, batch_size=3, shuffle=True, epochs=2)


def test_evaluate_predict_and_objective() -> None:
    model = jitted([Dense(4), BatchNorm(), Dropout(0.5), Dense(2)], metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0)
    for name, expected in model.evaluate(X, Y).items():
        assert model.evaluate(X, Y, engine="jax")[name] == pytest.approx(expected, rel=1e-12)
    model = jitted([Dense(4, "tanh"), Dense(2, weight_regularizer=L2(0.1))])
    model[0].trainable = False
    theta = model.parameters.value * 1.1
    (j, g), (expected_j, expected_g) = (
        copy.deepcopy(model).objective(X, Y, engine=engine)(theta) for engine in ("jax", "numpy")
    )
    assert j == pytest.approx(expected_j, rel=1e-12)
    np.testing.assert_allclose(g, expected_g, rtol=1e-12)
    noisy = jitted([Dropout(0.5), Dense(2)])
    found = [
        copy.deepcopy(noisy).objective(X, Y, engine=engine)(noisy.parameters.value)[0]
        for engine in ("jax", "numpy")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-12)
