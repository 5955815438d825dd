"""The ONNX files: equal to our predictions in onnxruntime and in the reference evaluator."""

from pathlib import Path

import numpy as np
import pytest

from helpers import Scale, rows_for, says, varied
from minigrad import (
    GELU,
    GRU,
    LSTM,
    Add,
    AveragePooling2D,
    BatchNorm,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    Input,
    Lambda,
    LayerNorm,
    MaxPooling1D,
    MaxPooling2D,
    Model,
    MultiHeadAttention,
    ReLU,
    Residual,
    Sequential,
    SimpleRNN,
    SinusoidalPositions,
    Softmax,
    UpSampling2D,
)
from minigrad.checks.single import model_of
from minigrad.core.layer import Layer, walk
from minigrad.util.config import registered

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from minigrad.interop.onnx import _FLOAT32_ONLY, WRITERS, export

TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "net.onnx"


def feeds(model, x, dtype):
    """Return the inputs by name, in the dtypes that the file expects."""
    given = x if isinstance(x, dict) else {"input": x}
    if not isinstance(x, dict) and not isinstance(model, Sequential):
        given = dict.fromkeys(getattr(model.network, "inputs", given), x)
    cast = model.cast(x, np.dtype(dtype))
    cast = cast if isinstance(cast, dict) else dict.fromkeys(given, cast)
    return {n: a.astype(np.int64 if a.dtype.kind == "i" else dtype) for n, a in cast.items()}


def run_both(path, feed):
    """Return the outputs of onnxruntime and of the reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, feed), ReferenceEvaluator(str(path)).run(None, feed)


def assert_equal(model, x, path, dtype="float32", *, reference=True) -> None:
    export(model, path, dtype=dtype)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    expected = model.predict(x)
    expected = [*expected.values()] if isinstance(expected, dict) else [expected]
    for outputs in run_both(path, feeds(model, x, dtype))[: 1 + reference]:
        for output, wanted in zip(outputs, expected, strict=True):
            assert output.dtype == dtype
            scale = max(1, np.abs(wanted).max())
            np.testing.assert_allclose(output, wanted, rtol=0, atol=TOLERANCE[dtype] * scale)


LACKING = {
    "AveragePooling1D", "AveragePooling2D", "Bidirectional", "Conv1D", "Conv1DTranspose", "Conv2D",
    "Conv2DTranspose", "DepthwiseConv2D", "GRU", "LSTM", "SeparableConv2D", "SimpleRNN",
    "UpSampling1D", "UpSampling2D",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer(any_layer_example, dtype, path) -> None:
    layer, shape = any_layer_example
    model, kind = varied(model_of(layer, shape)), type(layer).__name__
    if getattr(layer, "initial_state", False) or getattr(layer, "return_state", False):
        with says(ValueError, layer.label, "_state=False"):
            export(model, path, dtype=dtype)
        return
    exact_gelu = kind == "GELU" and layer.approximate == "none"
    if kind == "Lambda":
        with says(TypeError, "Lambda 'lambda_1'", "WRITERS[Lambda]"):
            export(model, path, dtype=dtype)
        return
    if dtype == "float64" and (kind in LACKING or exact_gelu):
        with says(ValueError, "expects dtype='float32'") as caught:
            export(model, path, dtype=dtype)
        labels = [layer.label for _, layer in walk(model) if layer is not model]
        assert str(caught.value).partition(" expects")[0] in labels
    else:
        assert_equal(model, rows_for(layer, shape), path, dtype)


def test_every_registered_layer_has_a_writer() -> None:
    layers = {c for c in registered(Layer).values() if c.__module__.startswith("minigrad.")}
    assert layers - {Sequential, Lambda} == {*WRITERS}


@pytest.mark.parametrize("kind", sorted(_FLOAT32_ONLY))
def test_the_runtime_lacks_these_operators(kind, path, monkeypatch) -> None:
    layers = {
        "AveragePool": AveragePooling2D(),
        "Conv": Conv2D(1, 2),
        "ConvTranspose": Conv2DTranspose(1, 2),
        "Erf": GELU(),
        "GRU": GRU(2),
        "LSTM": LSTM(2),
        "RNN": SimpleRNN(2),
        "Resize": UpSampling2D(),
    }
    shape = (3, 2) if kind in ("GRU", "LSTM", "RNN") else (4, 4, 1)
    monkeypatch.setattr("minigrad.interop.onnx._FLOAT32_ONLY", set())
    export(model_of(layers[kind], shape), path, dtype="float64")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception, match=f"{kind}"):
        runtime.InferenceSession(path, options).run(None, {"input": np.zeros((1, *shape))})


def transposes(path) -> int:
    return [node.op_type for node in onnx.load(path).graph.node].count("Transpose")


def test_layout_changes_only_where_it_must(path) -> None:
    block = Residual([Conv2D(4, 3, padding="same", activation="relu"), Dropout(0.1), BatchNorm()])
    layers = [Conv2D(4, 3), BatchNorm(), ReLU(), block, MaxPooling2D(), GELU()]
    model = Sequential([*layers, Flatten(), Dense(3)], input_shape=(8, 8, 2), rng=0)
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2))
    assert_equal(varied(model), x, path)
    assert transposes(path) == 2
    model = Sequential([*model.layers[:-2], GlobalAveragePooling2D()], input_shape=(8, 8, 2))
    assert_equal(model, x, path)
    assert transposes(path) == 1
    model = Sequential([*model.layers[:-1], Dense(5), Conv2D(1, 1)], input_shape=(8, 8, 2))
    assert_equal(model, x, path)
    assert transposes(path) == 4


def test_a_value_in_both_layouts(path) -> None:
    image = Input((6, 6, 2))
    h = Conv2D(2, 3, padding="same")(image)
    sum_ = Add()(LayerNorm()(h), h, Conv2D(2, 1)(h))
    model = Model(inputs=image, outputs=[Flatten(name="all")(sum_), MaxPooling2D(name="pool")(h)])
    assert_equal(model, np.random.default_rng(0).normal(size=(2, 6, 6, 2)), path)


@pytest.mark.parametrize("time", [4, 9])
def test_time_varies(time, path) -> None:
    layers = [
        Embedding(7, 4),
        SinusoidalPositions(),
        Conv1D(4, 3, padding="same", strides=2, activation="gelu"),
        Residual([MultiHeadAttention(2, causal=True), LayerNorm()]),
        Conv1D(6, 2, padding="causal", dilation_rate=2),
        MaxPooling1D(2, strides=1),
        Bidirectional(GRU(3, return_sequences=True)),
        GRU(2),
        Dense(3),
        Softmax(),
    ]
    model = Sequential(layers, input_shape=(None,), rng=0)
    x = np.random.default_rng(0).integers(7, size=(2, time))
    # The reference evaluator pads by the wrong axes where the length isn't known.
    assert_equal(model, x, path, reference=False)
    graph = onnx.load(path).graph
    assert [d.dim_param for d in graph.input[0].type.tensor_type.shape.dim] == ["batch", "axis_1"]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_sinusoids_of_far_positions_are_exact(path) -> None:
    model = Sequential([SinusoidalPositions()], input_shape=(None, 6))
    export(model, path)
    x = np.zeros((1, 20_000, 6), np.float32)
    for output in run_both(path, {"input": x}):
        np.testing.assert_allclose(output[0], model.predict(x), rtol=0, atol=1e-6)


def test_several_inputs_and_outputs_with_shared_weights(path) -> None:
    a, b, ids = Input((None, 4), name="a"), Input((None, 4), name="b"), Input((), name="ids")
    encoder = Sequential([Dense(4, "tanh"), GRU(3)])
    both = Concatenate()(encoder(a), encoder(b), Embedding(5, 2)(ids))
    last = Dense(2)
    outputs = {"price": last(both), "kind": Softmax()(last(both))}
    model = Model(inputs=[a, b, ids], outputs=outputs, rng=0)
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(3, 5, 4)), "b": rng.normal(size=(3, 2, 4)), "ids": [4, 0, 1]}
    x["ids"] = np.array(x["ids"])
    assert_equal(model, x, path)
    made = onnx.load(path)
    assert (made.ir_version, made.opset_import[0].version) == (8, 17)
    axes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*made.graph.input, *made.graph.output]
    }
    assert axes == {
        "a": ["batch", "a_time", 4],
        "b": ["batch", "b_time", 4],
        "ids": ["batch"],
        "price": ["batch", 2],
        "kind": ["batch", 2],
    }
    shared = [p.name for p in made.graph.initializer if p.dims == [8, 2]]
    assert shared == ["dense_1.weight"]


def test_a_subclass_of_model_that_keeps_forward(path) -> None:
    class Net(Sequential):
        def __init__(self, units=3):
            super().__init__([Dense(units), ReLU()], input_shape=(2,), rng=0)
            self.units = units

    assert_equal(Net(), np.ones((2, 2)), path)


def test_own_layers_need_a_writer(path, monkeypatch) -> None:
    model = varied(Sequential([Dense(2), Scale(name="mine")], input_shape=(3,), rng=0))
    with says(TypeError, "Scale 'mine'", "WRITERS[Scale]"):
        export(model, path)
    assert not path.exists()
    writer = lambda to, layer, x: to.op("Mul", x, layer.factor)  # noqa: E731
    monkeypatch.setitem(WRITERS, Scale, writer)
    assert_equal(model, np.ones((2, 3)), path)


def test_a_layer_with_another_forward_is_not_taken_for_its_base(path) -> None:
    class Twice(Dense):
        def forward(self, x, *, training=True):
            return 2 * super().forward(x, training=training)

    with says(TypeError, "Twice"):
        export(Sequential([Twice(2)], input_shape=(3,)), path)


def test_bad_input(path) -> None:
    with says(TypeError, "Model", "Dense"):
        export(Dense(2), path)
    with says(RuntimeError, "Sequential", "input_shape"):
        export(Sequential([Dense(2)]), path)
    with says(ValueError, "float16"):
        export(Sequential([Dense(2)], input_shape=(1,)), path, dtype="float16")
    a = Input((2,), name="a")
    with says(ValueError, "'a'"):
        export(Model(inputs=a, outputs={"a": Dense(2)(a)}), path)
