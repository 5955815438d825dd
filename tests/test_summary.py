"""The summary of a model, and its repr: the code that makes it."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import (
    GELU,
    SGD,
    Add,
    BatchNorm,
    Chain,
    Concatenate,
    Dense,
    Dropout,
    HeNormal,
    Input,
    Layer,
    LayerNorm,
    Model,
    Parallel,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from minigrad.core.layer import walk
from minigrad.summary import summary, table
from minigrad.util.terminal import Terminal


def branched() -> Sequential:
    inner = Chain([Dense(4, "tanh", name="inner"), BatchNorm()])
    return Sequential(
        [
            Dense(4, activation="relu"),
            Residual(Dense(4)),
            Parallel([Dense(4), inner], merge="concat"),
            Dropout(0.5),
            Dense(1),
        ],
        input_shape=(3,),
        rng=0,
    )


def test_table() -> None:
    assert summary(branched()) == (
        "layer             type       output shape  parameters  trainable\n"
        "dense_1           Dense      (batch, 4)            16  yes\n"
        "  relu            ReLU       (batch, 4)             0\n"
        "residual_1        Residual   (batch, 4)            20  yes\n"
        "  dense_1         Dense      (batch, 4)            20  yes\n"
        "parallel_1        Parallel   (batch, 8)            48  yes\n"
        "  dense_1         Dense      (batch, 4)            20  yes\n"
        "  chain_1         Chain      (batch, 4)            28  yes\n"
        "    inner         Dense      (batch, 4)            20  yes\n"
        "      tanh        Tanh       (batch, 4)             0\n"
        "    batch_norm_1  BatchNorm  (batch, 4)             8  yes\n"
        "dropout_1         Dropout    (batch, 8)             0\n"
        "dense_2           Dense      (batch, 1)             9  yes\n"
        "93 parameters, 93 trainable and 8 running statistics; 808 bytes in float64"
    )


def test_table_of_a_graph() -> None:
    inner = Input((None, 4), name="x")
    left, right = Input((None, 4), name="left"), Input((None, 4), name="right")
    block = Model(inputs=inner, outputs=Add()(inner, LayerNorm()(inner)), name="block")
    outputs = {"sum": Add()(block(left), right), "both": Concatenate()(left, right)}
    model = Model(inputs=[left, right], outputs=outputs, rng=0)
    assert table(model).text(Terminal(width=90)) == (
        "layer           type         output shape      parameters  trainable  takes\n"
        "left            Input        (batch, None, 4)\n"
        "right           Input        (batch, None, 4)\n"
        "block           Model        (batch, None, 4)           8  yes        left\n"
        "  x             Input        (batch, None, 4)\n"
        "  layer_norm_1  LayerNorm    (batch, None, 4)           8  yes        x\n"
        "  add_1         Add          (batch, None, 4)           0             x, layer_norm_1\n"
        "add_1           Add          (batch, None, 4)           0             block, right\n"
        "concatenate_1   Concatenate  (batch, None, 8)           0             left, right"
    )


def test_summary_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    model = branched()
    assert model.summary() is None
    assert capsys.readouterr().out == summary(model) + "\n"


@pytest.mark.parametrize(
    ("dtype", "units", "expected"),
    [
        ("float64", 1, "3 parameters, 3 trainable; 24 bytes in float64"),
        ("float32", 1000, "3,000 parameters, 3,000 trainable; 11.7 KiB in float32"),
        ("float32", 400_000, "1,200,000 parameters, 1,200,000 trainable; 4.6 MiB in float32"),
    ],
)
def test_totals(dtype: str, units: int, expected: str) -> None:
    model = Sequential([Dense(units, weight_initializer="zeros")], input_shape=(2,), dtype=dtype)
    assert summary(model).splitlines()[-1] == expected


def test_frozen_and_shared() -> None:
    first = Dense(2)
    Sequential([first], input_shape=(2,), rng=0)
    model = Sequential(
        [first, Tanh(), Dense(2, weight=first.weight), Dense(2)], input_shape=(2,), rng=0
    )
    model.layers[3].trainable = False
    first.bias.trainable = False
    table = summary(model)
    assert [line.split()[-1] for line in table.splitlines()[1:5]] == ["partly", "0", "yes", "no"]
    assert table.splitlines()[-1].startswith("14 parameters, 6 trainable; ")
    assert repr(model).splitlines()[1:] == [
        "# dense_2.weight is dense_1.weight",
        "# frozen: dense_1.bias, dense_3.weight, dense_3.bias",
    ]


def test_an_unbuilt_model() -> None:
    table = summary(Sequential([Dense(3), Sigmoid()])).splitlines()
    assert table[1].split() == ["dense_1", "Dense", "?", "?"]
    assert table[-1] == "not built yet: pass input_shape= to the model, or call fit"


def test_a_model_without_parameters() -> None:
    table = summary(Sequential([Sigmoid()], input_shape=(2, 3)))
    assert "(batch, 2, 3)" in table
    assert table.endswith("\n0 parameters, 0 trainable; 0 bytes")


MODELS = {
    "Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,))": lambda: Sequential(
        [Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4
    ),
    "Sequential([Dense(3, activation='sigmoid')], dtype='float32', name='net')": lambda: Sequential(
        [Dense(3, "sigmoid")], dtype="float32", name="net"
    ),
    "Sequential([Dense(3, activation=GELU(approximate='tanh'))])": lambda: Sequential(
        [Dense(3, GELU(approximate="tanh"))]
    ),
    "Sequential([Dense(1, activation=Tanh(name='out')), Dense(1, name='last')])": lambda: (
        Sequential([Dense(1, Tanh(name="out")), Dense(1, name="last")])
    ),
    "Sequential([Dense(2, name='dense_2'), Dense(2), ReLU()])": lambda: Sequential(
        [Dense(2, name="dense_2"), Dense(2), ReLU()]
    ),
    "Sequential([Sequential([Dense(4), ReLU()])], input_shape=(2,), dtype='float32')": (
        lambda: Sequential([Sequential([Dense(4), ReLU()])], input_shape=(2,), dtype="float32")
    ),
    "Sequential([Dense(1, weight_initializer=np.array([[1.0], [2.0]]))], input_shape=(2,))": (
        lambda: Sequential(
            [Dense(1, weight_initializer=np.array([[1.0], [2.0]]))], input_shape=(2,)
        )
    ),
    "Sequential([Dense(1, use_bias=False, weight_initializer=HeNormal())])": lambda: Sequential(
        [Dense(1, use_bias=False, weight_initializer=HeNormal())]
    ),
}
NAMES = {**vars(minigrad), "np": np}


@pytest.mark.parametrize(("code", "make"), MODELS.items(), ids=range(len(MODELS)))
def test_repr_is_code(code: str, make) -> None:
    assert repr(make()) == code


@pytest.mark.parametrize("make", [*MODELS.values(), branched])
def test_evaluating_the_repr_makes_an_equal_model(make) -> None:
    model = make()
    again = eval(repr(model), dict(NAMES))
    assert repr(again) == repr(model)
    assert [path for path, _ in walk(again)] == [path for path, _ in walk(model)]
    assert [p.shape for _, p in again.named_parameters()] == [
        p.shape for _, p in model.named_parameters()
    ]
    assert again.dtype == model.dtype


def test_long_code_has_one_line_per_item() -> None:
    assert repr(branched()) == (
        "Sequential(\n"
        "    [\n"
        "        Dense(4, activation='relu'),\n"
        "        Residual(Dense(4)),\n"
        "        Parallel(\n"
        "            [Dense(4), Chain([Dense(4, activation='tanh', name='inner'), BatchNorm()])],\n"
        "            merge='concat',\n"
        "        ),\n"
        "        Dropout(0.5),\n"
        "        Dense(1),\n"
        "    ],\n"
        "    input_shape=(3,),\n"
        ")"
    )
    wide = Sequential([Dense(n) for n in range(1, 40)])
    assert max(map(len, repr(wide).splitlines())) <= 88


def test_a_part_of_a_model_keeps_its_names() -> None:
    model = Sequential([Dense(3), Dense(2), Dense(1)], input_shape=(2,), rng=0)
    part = eval(f"Chain({model.layers[1:]!r})", dict(NAMES))
    assert [layer.name for layer in part.layers] == ["dense_2", "dense_3"]
    assert repr(model.layers[0]) == "Dense(3, name='dense_1')"


def test_a_large_array_is_described() -> None:
    model = Sequential([Dense(11, weight_initializer=np.zeros((10, 11)))])
    assert "weight_initializer=<array of shape (10, 11), float64>" in repr(model)


def test_an_activation_that_is_not_registered_is_an_object() -> None:
    class Half(Tanh):
        pass

    assert repr(Dense(1, Half())) == "Dense(1, activation=Half())"


def test_a_layer_that_does_not_store_its_arguments() -> None:
    class Scale(Layer):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.scale = Parameter(factor)

    assert repr(Sequential([Scale(2.0)])) == "Sequential([<Scale>])"


class TestInTheMiddleOfTraining:
    X = np.ones((8, 2))

    def make(self) -> Sequential:
        model = Sequential([Dense(1)], input_shape=(2,), rng=0)
        model.compile(optimizer=SGD(learning_rate=0.01), loss="mse")
        return model

    def test_repr_of_a_saved_model(self, tmp_path: Path) -> None:
        model, path = self.make(), tmp_path / "net.safetensors"
        model.fit(self.X, self.X[:, 0], epochs=2, verbose=0)
        plain = repr(model)

        def save(epoch: int, logs: dict[str, float]) -> None:
            if epoch == 3:
                model.save(path)

        model.fit(self.X, self.X[:, 0], epochs=4, callbacks=[save], verbose=0)
        assert repr(model) == plain
        loaded = minigrad.load(path)
        note = "\n# in the middle of training: 3 of 6 epochs are done"
        assert repr(loaded) == plain + note
        assert repr(eval(repr(loaded), dict(NAMES))) == plain
        assert repr(copy.deepcopy(loaded)) == repr(loaded)
        assert repr(Sequential([copy.deepcopy(loaded)])) == "Sequential([Sequential([Dense(1)])])"
        loaded.fit(self.X, self.X[:, 0], epochs=3, verbose=0)
        assert repr(loaded) == plain

    def test_repr_of_a_model_whose_training_failed(self) -> None:
        model = self.make()

        def fail(epoch: int, logs: dict[str, float]) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            model.fit(self.X, self.X[:, 0], epochs=4, callbacks=[fail], verbose=0)
        assert re.search(r"# in the middle of training: 1 of 4 epochs are done$", repr(model))
