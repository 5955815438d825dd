"""Saving and loading models: bit-exact resume, file contents, malformed files, atomic writes."""

import copy
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from typing_extensions import override

import minigrad
from helpers import rows_for, slow
from minigrad import (
    SGD,
    Adam,
    BatchNorm,
    Callback,
    Dense,
    Dropout,
    FileFormatError,
    Input,
    KLDivLoss,
    Lambda,
    Layer,
    Loss,
    Model,
    MSELoss,
    Optimizer,
    Parameter,
    Reshape,
    Residual,
    Schedule,
    Sequential,
    load,
    register,
)
from minigrad.checks.single import model_of
from minigrad.core.layer import build_once, walk
from minigrad.regularizers import Regularizer
from minigrad.saving import safetensors
from minigrad.saving.weights import arrays_of
from minigrad.util.config import Configurable, registered
from minigrad.util.random import rng_state
from registered_examples import FUNCTIONS

X = np.random.default_rng(0).uniform(size=(40, 4))
Y = X.sum(axis=1, keepdims=True)


def small(rng: Any = 3, **options: Any) -> Sequential:
    layers = [Dense(6, activation="tanh"), Dropout(0.25), BatchNorm(), Dense(1)]
    model = Sequential(layers, input_shape=(4,), rng=rng, **options)
    model.compile(optimizer=SGD(momentum=0.9), loss=MSELoss(scale=0.5), metrics=["mae"])
    return model


def fit(model: Model, epochs: int, **options: Any) -> None:
    options = {"batch_size": 8, "validation_split": 0.25, "verbose": 0} | options
    y = np.broadcast_to(Y, (40, *(model.output_shape or (1,))))
    model.fit(X, y, epochs=epochs, **options)


def through(model: Model, path: Path, **custom: Any) -> Any:
    model.save(path)
    return load(path, custom_objects=custom)


def assert_same(actual: Model, expected: Model) -> None:
    """Compare everything that is saved, bit for bit."""
    for (path, one), (same_path, other) in zip(walk(actual), walk(expected), strict=True):
        assert (path, type(one)) == (same_path, type(other))
        assert vars(one).keys() - {"cache"} == vars(other).keys() - {"cache"}
    assert repr(actual) == repr(expected)
    assert bits(arrays_of(actual)) == bits(arrays_of(expected))
    assert actual.history == expected.history
    assert list(actual.history) == list(expected.history)
    assert actual.seed == expected.seed
    assert random_states(actual) == random_states(expected)
    if expected.optimizer is None:
        assert actual.optimizer is None
        return
    assert actual.optimizer is not None
    assert repr(actual.optimizer) == repr(expected.optimizer)
    assert actual.optimizer.steps == expected.optimizer.steps
    assert bits(actual.optimizer.state) == bits(expected.optimizer.state)
    assert repr(actual.loss) == repr(expected.loss)
    assert repr(actual.metrics) == repr(expected.metrics)


def bits(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items()}


def random_states(model: Model) -> list[str]:
    layers = [layer for _, layer in walk(model)]
    return [repr(rng_state(layer.rng)) for layer in layers if hasattr(layer, "rng")]


def edit(
    path: Path, change: Callable[[dict[str, Any], dict[str, Any], dict[str, str]], Any]
) -> None:
    """Change the JSON, the arrays and the metadata of a saved model in place."""
    tensors, metadata = safetensors.load(path)
    document = json.loads(metadata["model"])
    change(document, tensors, metadata)
    if metadata.get("model"):
        metadata["model"] = json.dumps(document)
    path.write_bytes(b"".join(safetensors.dumps(tensors, metadata)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


class TestResume:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_every_optimizer(self, optimizer: Optimizer, dtype: str, path: Path) -> None:
        whole, parts = small(dtype=dtype), small(dtype=dtype)
        for model in (whole, parts):
            model.compile(optimizer=copy.deepcopy(optimizer), loss="mse", metrics=["mae", "r2"])
        fit(whole, 6)
        fit(parts, 3)
        loaded = through(parts, path)
        assert_same(loaded, parts)
        fit(loaded, 3)
        assert_same(loaded, whole)
        assert loaded.parameters.value.dtype == dtype
        assert_array_equal(loaded.predict(X), whole.predict(X), strict=True)

    @pytest.mark.parametrize("suffix", [".h5", ".keras", ".pt", ".pkl", ""])
    def test_any_file_suffix(self, suffix: str, path: Path) -> None:
        model = small()
        other = path.with_suffix(suffix)
        assert_same(through(model, other), model)
        model.save(path)
        assert other.read_bytes() == path.read_bytes()

    def test_every_schedule(self, examples: list[Any], path: Path) -> None:
        schedules = [example for example in examples if isinstance(example, Schedule)]
        ours = {c for c in registered(Schedule).values() if c.__module__.startswith("minigrad.")}
        assert {type(schedule) for schedule in schedules} == ours
        for schedule in schedules:
            model = small()
            model.compile(optimizer=Adam(learning_rate=schedule), loss="mse")
            fit(model, 1)
            loaded = through(model, path)
            fit(model, 1)
            fit(loaded, 1)
            assert_same(loaded, model)

    @pytest.mark.parametrize("dtype", [slow("float32"), "float64"])
    def test_every_layer(
        self, any_layer_example: tuple[Layer, tuple[Any, ...]], dtype: str, path: Path
    ) -> None:
        model = model_of(*any_layer_example, dtype)
        model.compile(optimizer=SGD(momentum=0.5), loss="mse")
        x = rows_for(*any_layer_example, 20)
        y = np.zeros_like(model.predict(x))
        model.fit(x, y, epochs=1, batch_size=8, verbose=0)
        loaded = through(model, path, **FUNCTIONS)
        assert repr(loaded) == repr(model)
        for either in (model, loaded):
            either.fit(x, y, epochs=1, batch_size=8, verbose=0)
        assert_same(loaded, model)
        assert_array_equal(loaded.predict(x), model.predict(x), strict=True)

    def test_every_loss(self, loss_example: tuple[Loss, Any, Any], path: Path) -> None:
        loss, prediction, target = loss_example
        activation = None if loss.takes_logits else "sigmoid"
        activation = "log_softmax" if isinstance(loss, KLDivLoss) else activation
        model = Sequential([Dense(3, activation)], input_shape=(*prediction.shape[1:-1], 2), rng=1)
        model.compile(optimizer="adam", loss=loss)
        x = np.random.default_rng(0).normal(size=(*prediction.shape[:-1], 2))
        loaded = through(model, path)
        for either in (model, loaded):
            either.fit(x, target, epochs=2, batch_size=2, verbose=0)
        assert_same(loaded, model)

    def test_checkpoint_during_fit(self, path: Path) -> None:
        class Checkpoint(Callback):
            @override
            def on_epoch_end(self, trainer: Any, epoch: int, figures: dict[str, float]) -> None:
                if epoch == 4:
                    trainer.model.save(path)

        model = small()
        fit(model, 2)
        fit(model, 4, callbacks=[Checkpoint()])
        loaded = load(path)
        assert "\n# in the middle of training: 4 of 6 epochs are done" in repr(loaded)
        assert eval(repr(loaded), vars(minigrad)).input_shape == (4,)
        assert {len(values) for values in loaded.history.values()} == {4}
        fit(loaded, 2)
        assert_same(loaded, model)

    def test_another_process(self, path: Path) -> None:
        model = small()
        fit(model, 1)
        model.save(path)
        x, y = path.with_name("x.npy"), path.with_name("y.npy")
        np.save(x, X)
        np.save(y, Y)
        code = """if True:
            import sys, numpy, minigrad
            path, x, y = sys.argv[1:]
            model = minigrad.load(path)
            options = dict(batch_size=8, validation_split=0.25, verbose=0)
            model.fit(numpy.load(x), numpy.load(y), epochs=2, **options)
            model.save(path)
        """
        subprocess.run([sys.executable, "-c", code, path, x, y], check=True)
        fit(model, 2)
        assert_same(load(path), model)

    def test_frozen_layers(self, path: Path) -> None:
        model = small()
        fit(model, 1)
        model.layers[0].trainable = False
        model.layers[3].parameters[1].trainable = False
        loaded = through(model, path)
        fit(model, 1)
        fit(loaded, 1)
        assert_same(loaded, model)
        assert [layer.trainable for layer in loaded.layers] == [False, True, True, True]
        assert [p.trainable for p in loaded.parameters] == [False, False, True, True, True, False]

    def test_regularizers(self, path: Path) -> None:
        class Lasso(Regularizer):
            @override
            def value(self, weight: NDArray[Any]) -> float:
                return self.strength * float(np.abs(weight).sum())

            @override
            def derivative(self, weight: NDArray[Any]) -> NDArray[Any]:
                return np.asarray(self.strength * np.sign(weight))

        model = small()
        model.parameters[0].regularizer = Lasso(0.25)
        loaded = through(model, path, Lasso=Lasso)
        fit(model, 2)
        fit(loaded, 2)
        assert_same(loaded, model)
        assert [repr(p.regularizer) for p in loaded.parameters[:2]] == ["Lasso(0.25)", "None"]

    def test_shared_parameters(self, path: Path) -> None:
        first = Dense(4, name="first")
        Sequential([first], input_shape=(4,), rng=1)
        inner = Dense(4, weight=first.weight, name="inner")
        second = Sequential([inner], name="second")
        model = Sequential([first, second, Dense(1)], input_shape=(4,), rng=1)
        model.compile(optimizer=Adam(), loss="mse")
        loaded = through(model, path)
        fit(model, 2)
        fit(loaded, 2)
        assert_same(loaded, model)
        paths = dict(loaded.named_parameters())
        assert paths["second.inner.weight"].source is paths["first.weight"].source
        assert "second.inner.weight" not in safetensors.load(path)[0]

    def test_shared_parameters_in_lists_and_dicts(self, path: Path) -> None:
        one, two = Factors(), Factors()
        model = Sequential([one, two, Dense(1)], input_shape=(4,), rng=1)
        two.listed[1] = one.listed[0]
        two.keyed["gain"] = one.keyed["gain"]
        two.tupled = (one.tupled[0], 7)
        two.pair = two.pair._replace(offset=one.pair.offset)
        model.compile(optimizer=Adam(), loss="mse")
        fit(model, 1)
        loaded = through(model, path, Factors=Factors)
        fit(model, 2)
        fit(loaded, 2)
        assert_same(loaded, model)
        first, second = cast("list[Factors]", loaded.layers)[:2]
        assert second.listed[1].source is first.listed[0].source
        gain, same = first.keyed["gain"], second.keyed["gain"]
        assert isinstance(gain, Parameter)
        assert isinstance(same, Parameter)
        assert same.source is gain.source
        assert second.keyed["note"] == 3
        assert second.tupled[0].source is first.tupled[0].source
        assert second.tupled[1] == 7
        assert second.pair.offset.source is first.pair.offset.source

    def test_unused_slots_are_not_saved(self, path: Path) -> None:
        model = small()
        fit(model, 1)
        assert isinstance(model.optimizer, SGD)
        model.optimizer.momentum = 0.0
        loaded = through(model, path)
        assert loaded.optimizer is not None
        assert loaded.optimizer.state == {}


class TestRandomState:
    @pytest.mark.parametrize("legacy", [False, True], ids=["Generator", "RandomState"])
    @pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
    def test_every_bit_generator(self, kind: str, legacy: bool, path: Path) -> None:
        source = getattr(np.random, kind)(7)
        rng = np.random.RandomState(source) if legacy else np.random.Generator(source)
        model = small(rng)
        rng.standard_normal(3)
        rng.standard_normal(2)
        rng.bytes(3)  # leaves half of a 64-bit number over
        loaded = through(model, path)
        assert type(loaded.rng) is type(rng)
        assert_array_equal(loaded.rng.standard_normal(700), rng.standard_normal(700), strict=True)
        fit(model, 1)
        fit(loaded, 1)
        assert_same(loaded, model)

    def test_layers_share_one_generator(self, path: Path) -> None:
        loaded = through(small(), path)
        assert loaded.layers[1].rng is loaded.rng  # type: ignore[attr-defined]
        edit(path, lambda d, t, m: d["generators"].pop())
        with pytest.raises(FileFormatError, match="IndexError"):
            load(path)

    def test_two_generators_stay_separate(self, path: Path) -> None:
        inner = Sequential([Dense(2), Dropout(0.5)], input_shape=(4,), rng=5)
        model = Sequential([inner, Dense(1)], input_shape=(4,), rng=6)
        loaded = through(model, path)
        assert_same(loaded, model)
        nested = loaded.layers[0]
        assert isinstance(nested, Sequential)
        assert nested.rng is not loaded.rng
        assert nested.layers[1].rng is nested.rng  # type: ignore[attr-defined]
        assert nested.seed == 5

    def test_loading_draws_no_entropy(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = small(None)
        monkeypatch.setattr("numpy.random.bit_generator.randbits", None)
        with pytest.raises(TypeError):
            small(None)
        assert_same(through(model, path), model)

    def test_foreign_bit_generator_is_refused(self, path: Path) -> None:
        class Mine(np.random.PCG64):
            state = {"bit_generator": "Mine"}  # type: ignore[typeddict-item]  # noqa: RUF012

        with pytest.raises(TypeError, match=r"bit generator Mine .* PCG64"):
            small(np.random.Generator(Mine(1))).save(path)


@register
class Filled(Layer):
    """A custom layer without a name argument that fills its array itself."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.start = start

    @override
    def build(self, input_shape: Any, rng: Any) -> Any:
        self.factor = Parameter(np.full(input_shape, self.start))
        return input_shape

    @override
    def forward(self, x: NDArray[Any], *, training: bool = True) -> NDArray[Any]:
        if training:
            self.cache = x
        return np.asarray(x * self.factor.value)

    @override
    def backward(self, delta: NDArray[Any]) -> NDArray[Any]:
        self.factor.grad = (delta * self.cache).sum(axis=0)
        return delta * self.factor.value


class Private(Filled):
    """An unregistered class."""


class Quantile(Configurable):
    """A metric with an option."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, target: NDArray[Any], prediction: NDArray[Any]) -> float:
        return float(np.quantile(np.abs(prediction - target), self.share))


class Classifier(Sequential):
    """A custom model that only adds methods."""

    def classes(self, x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self.predict(x).argmax(axis=1))


class Pair(NamedTuple):
    gain: Parameter
    offset: Parameter


class Factors(Layer):
    """A layer that keeps its parameters in a list, a dict, a tuple and a NamedTuple."""

    @override
    def build(self, input_shape: Any, rng: Any) -> Any:
        self.listed = [self.made(input_shape), self.made(input_shape)]
        self.keyed = {"gain": self.made(input_shape), "note": 3}
        self.tupled = (self.made(input_shape), 7)
        self.pair = Pair(self.made(input_shape), self.made(input_shape))
        return input_shape

    def made(self, shape: Any) -> Parameter:
        return Parameter(np.ones(shape))

    @property
    def gains(self) -> tuple[Parameter, ...]:
        return *self.listed, cast("Parameter", self.keyed["gain"]), self.tupled[0], self.pair.gain

    @override
    def forward(self, x: NDArray[Any], *, training: bool = True) -> NDArray[Any]:
        product = np.prod([gain.value for gain in self.gains], axis=0)
        if training:
            self.cache = x, product
        return np.asarray(x * product + self.pair.offset.value)

    @override
    def backward(self, delta: NDArray[Any]) -> NDArray[Any]:
        x, product = self.cache
        self.pair.offset.grad = delta.sum(axis=0)
        for gain in self.gains:
            gain.grad = (delta * x * product / gain.value).sum(axis=0)
        return np.asarray(delta * product)


class Holder(Layer):
    """A custom container that doesn't name its layers."""

    def __init__(self, first: Layer, others: dict[str, Layer]) -> None:
        super().__init__()
        self.first = first
        self.others = others

    @override
    def build(self, input_shape: Any, rng: Any) -> Any:
        for layer in self.children:
            input_shape = build_once(layer, input_shape, rng)
        return input_shape

    @override
    def forward(self, x: NDArray[Any], *, training: bool = True) -> NDArray[Any]:
        for layer in self.children:
            x = layer.forward(x, training=training)
        return x

    @override
    def backward(self, delta: NDArray[Any]) -> NDArray[Any]:
        for layer in reversed(self.children):
            delta = layer.backward(delta)
        return delta


class Wide(Sequential):
    """A custom model that makes its layers and builds itself."""

    def __init__(self, width: int) -> None:
        super().__init__([Dense(width, "tanh"), Dropout(0.5), Dense(1)], input_shape=(4,), rng=0)
        self.width = width

    @override
    def get_config(self) -> dict[str, Any]:
        return {"width": self.width}


class TestContents:
    def test_model_without_compile(self, path: Path) -> None:
        model = Sequential([Dense(2)], input_shape=(3,), rng=1, dtype="float32", name="net")
        loaded = through(model, path)
        assert_same(loaded, model)
        assert loaded.dtype == np.float32
        assert loaded.predict(np.ones((1, 3))).dtype == np.float32

    def test_model_of_another_layer(self, path: Path) -> None:
        model = Model(Residual([Dense(4, "tanh"), Dropout(0.5)]), input_shape=(4,), rng=1)
        model.compile(optimizer="adam", loss="mse")
        loaded = through(model, path)
        fit(model, 1)
        fit(loaded, 1)
        assert_same(loaded, model)
        assert type(loaded) is Model

    def test_unbuilt_model(self, path: Path) -> None:
        model = Sequential([Dense(6), Dropout(0.25), Dense(1)], rng=3)
        model.layers[0].trainable = False
        model.compile(optimizer="sgd", loss="mse")
        loaded = through(model, path)
        assert loaded.output_shape is None
        fit(model, 2)
        fit(loaded, 2)
        assert_same(loaded, model)
        assert not loaded.layers[0].trainable

    def test_built_model_in_an_unbuilt_one(self, path: Path) -> None:
        inner = Sequential([Dense(2)], input_shape=(4,), rng=5)
        model = Sequential([inner, Dense(1)], rng=6)
        loaded = through(model, path)
        assert_same(loaded, model)
        assert_array_equal(loaded.predict(X), model.predict(X), strict=True)

    def test_custom_models(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wide = Wide(3)
        inner = Classifier([Dense(4), wide, Dense(2)], rng=None)
        inner.layers[0].name = "first"
        model = Sequential([Dense(4), inner], input_shape=(4,), rng=2)
        model.compile(optimizer="adam", loss="mse")
        wide.parameters[0].value += 1
        monkeypatch.setattr("numpy.random.bit_generator.randbits", None)
        loaded = through(model, path, Wide=Wide, Classifier=Classifier)
        for either in (loaded, model):
            either.fit(X, np.hstack([Y, Y]), epochs=2, verbose=0)
        assert_same(loaded, model)
        nested = loaded["classifier_1"]
        assert isinstance(nested, Classifier)
        assert nested.seed == inner.seed
        assert type(nested.layers[1]) is Wide

    def test_names_that_are_not_in_a_config(self, path: Path) -> None:
        model = Sequential([Filled(2.0), Filled(), Dense(1)], rng=1)
        model.layers[1].name = "second"
        del model.layers[0]
        model.build_for((4,))
        loaded = through(model, path)
        assert next(loaded.named_parameters())[0] == "second.factor"

    def test_names_in_a_custom_container(self, path: Path) -> None:
        deep = Holder(Filled(2.0), {"a": Filled(), "b": Filled(3.0)})
        deep.others["b"].name = "last"
        model = Sequential([Holder(deep, {}), Dense(1)], input_shape=(4,), rng=1)
        model.compile(optimizer="sgd", loss="mse")
        loaded = through(model, path, Holder=Holder, Filled=Filled)
        fit(model, 1)
        fit(loaded, 1)
        assert_same(loaded, model)
        assert list(arrays_of(loaded))[:3] == [
            "holder_1.first.first.factor",
            "holder_1.first.others_a.factor",
            "holder_1.first.last.factor",
        ]

    def test_arrays_and_special_numbers_as_options(self, path: Path) -> None:
        weight = np.array([[1e30, -0.0, 5e-45]], dtype=np.float32)
        layers = [Dense(3, weight_initializer=weight), Filled(-np.inf)]
        model = Sequential(layers, input_shape=(1,), rng=1)
        model.compile(optimizer=SGD(learning_rate=np.float64(0.1)), loss="mse")
        loaded = through(model, path)
        assert repr(loaded) == repr(model)
        held = loaded.layers[0].weight_initializer  # type: ignore[attr-defined]
        assert bits({"w": held}) == bits({"w": weight})

    def test_history_of_special_numbers(self, path: Path) -> None:
        model = small()
        model.history.update({"loss": [np.inf, -np.inf, 0.1, 5e-324], "ü": [], "nan": [np.nan]})
        loaded = through(model, path)
        assert repr(loaded.history) == repr(model.history)
        assert type(loaded.history) is type(model.history)

    def test_history_of_text_is_refused(self, path: Path) -> None:
        model = small()
        model.history["note"] = ["good"]  # type: ignore[list-item]
        with pytest.raises(TypeError, match=r"history\['note'\] must hold numbers"):
            model.save(path)
        assert not path.exists()

    def test_functions_by_name(self, path: Path) -> None:
        def bias(target: NDArray[Any], prediction: NDArray[Any]) -> float:
            return float((prediction - target).mean())

        def start(shape: Any, rng: Any) -> NDArray[Any]:
            return np.full(shape, 0.5)

        model = Sequential([Dense(1, weight_initializer=start)], input_shape=(4,), rng=1)
        half = functools.partial(bias)
        metrics: list[Any] = ["mae", "f1", bias, half, Quantile(0.9)]
        model.compile(optimizer="sgd", loss="mse", metrics=metrics)
        model.fit(X, np.round(Y / 4), verbose=0)
        loaded = through(model, path, bias=bias, start=start, partial=half, Quantile=Quantile)
        assert_same(loaded, model)
        assert list(loaded.metrics) == ["mae", "f1", "bias", "partial", "Quantile"]
        with pytest.raises(FileFormatError, match=r"'start'.*custom_objects=\{'start': start\}"):
            load(path)
        with pytest.warns(UserWarning, match=r"'bias'.*custom_objects=\{'bias': bias\}") as caught:
            loaded = load(
                path, custom_objects={"start": start, "partial": half, "Quantile": Quantile}
            )
        assert caught[0].filename == __file__
        assert list(loaded.metrics) == ["mae", "f1", "partial", "Quantile"]
        assert loaded.history["bias"] == model.history["bias"]
        loaded.fit(X, np.round(Y / 4), verbose=0)

    def test_registered_and_custom_classes(self, path: Path) -> None:
        model = Sequential([Filled(2.0), Private(3.0)], input_shape=(4,), rng=1)
        with pytest.raises(FileFormatError, match=r"class 'Private'.*@minigrad\.register"):
            through(model, path)
        loaded = through(model, path, Private=Private)
        assert_same(loaded, model)
        assert [type(layer) for layer in loaded.layers] == [Filled, Private]

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            ([type("Dense", (Filled,), {})()], "another class named 'Dense'"),
            (
                [type("Odd", (Filled,), {"get_config": lambda _: {"x": 1}})()],
                "Odd .*get_config",
            ),
            ([Filled(cast("Any", object()))], r"Filled\(start=...\) is an obj"),
            (
                [Filled(cast("Any", np.array(["a"])))],
                r"Filled\(start=...\) is an ndarray",
            ),
        ],
        ids=["namesake", "config", "object", "strings"],
    )
    def test_objects_that_can_not_be_loaded_are_not_saved(
        self, layers: Any, message: str, path: Path
    ) -> None:
        with pytest.raises(TypeError, match=message):
            Sequential(layers, rng=1).save(path)
        assert not path.exists()

    def test_two_arrays_with_one_name_are_refused(self, path: Path) -> None:
        model = Sequential([Dense(1, name="a"), Dense(1)], input_shape=(1,), rng=1)
        model.layers[1].name = "a"
        with pytest.raises(ValueError, match=r"two arrays are named 'a\.weight': give each layer"):
            model.save(path)

    def test_official_package_reads_the_file(self, path: Path) -> None:
        official = pytest.importorskip("safetensors")
        model = small()
        fit(model, 1)
        model.save(path)
        with official.safe_open(path, "numpy") as file:
            names = set(file.keys())
            read = {name: file.get_tensor(name) for name in arrays_of(model)}
            metadata = file.metadata()
        assert bits(read) == bits(arrays_of(model))
        figures = {f"history.{name}" for name in ("loss", "mae", "val_loss", "val_mae")}
        assert names - set(read) == figures | {"optimizer.velocity"}
        assert metadata["format"] == "minigrad"
        assert metadata["minigrad"] == minigrad.__version__


class TestWeights:
    @pytest.mark.parametrize("saving", [Sequential.save, Sequential.save_weights])
    def test_load_from_either_file(
        self, saving: Callable[[Sequential, Path], None], path: Path
    ) -> None:
        model, other = small(1), small(2, dtype="float32")
        fit(model, 1)
        saving(model, path)
        before = copy.deepcopy(other.history)
        flat = other.parameters.value
        other.load_weights(path)
        for name, array in arrays_of(other).items():
            assert_array_equal(array, arrays_of(model)[name].astype(np.float32), strict=True)
        assert other.parameters.value is flat or np.shares_memory(other.parameters.value, flat)
        assert other.history == before

    def test_mismatches_are_listed_and_nothing_changes(self, path: Path) -> None:
        Sequential([Dense(6), Dense(2)], input_shape=(4,), rng=1).save_weights(path)
        model = Sequential([Dense(6), Dense(1, name="last")], input_shape=(3,), rng=1)
        before = model.parameters.value.copy()
        with pytest.raises(
            FileFormatError,
            match=r"net.safetensors': .*'last.weight' is missing; 'last.bias' is missing; "
            r"'dense_1.weight' has shape \(4, 6\), expected \(3, 6\); "
            r"'dense_2.weight' isn't in the model; 'dense_2.bias' isn't",
        ):
            model.load_weights(path)
        assert_array_equal(model.parameters.value, before, strict=True)

    def test_overflow_of_the_dtype_is_refused(self, path: Path) -> None:
        wide, narrow = small(1), small(2, dtype="float32")
        wide.parameters.value = wide.parameters.value + 1
        wide.parameters[-1].value = np.array([1e39])
        wide.save_weights(path)
        before = bits(arrays_of(narrow))
        with pytest.raises(
            FileFormatError,
            match=r"'dense_2.bias' .* float32",
        ):
            narrow.load_weights(path)
        assert bits(arrays_of(narrow)) == before
        wide.parameters[-1].value = np.array([np.inf])
        wide.save_weights(path)
        narrow.load_weights(path)
        assert np.isinf(narrow.parameters[-1].value).all()

    def test_unbuilt_model_is_refused(self, path: Path) -> None:
        with pytest.raises(RuntimeError, match="isn't built yet"):
            Sequential([Dense(2)]).load_weights(path)


OTHER_FILES = {
    "photo.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(50),
    "notes.txt": b"epochs: {4, 5}\n",
    "net.h5": b"\x89HDF\r\n\x1a\n" + bytes(50),
    "net.pt": b"PK\3\4{{{{{{{{" + bytes(50),
    "empty": b"",
}

Change = Callable[[Any, Any, Any], Any]


def put(place: str, value: Any) -> Change:
    """Return a change of one entry: put("a/0/b", 3) does document["a"][0]["b"] = 3."""

    def change(document: Any, tensors: Any, metadata: Any) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in place.split("/")]
        for step in way:
            document = document[step]
        document[last] = value

    return change


LAYER = "architecture/config/layers/0"
STATE = "generators/0/items/1/1/items"
BAD: dict[str, tuple[Change, str]] = {
    "no model": (lambda d, t, m: m.clear(), "no minigrad model.*load_weights"),
    "torch": (lambda d, t, m: m.update(format="pt"), "no minigrad model.*load_weights"),
    "newer": (
        lambda d, t, m: m.update(version="2", minigrad="9.1"),
        "minigrad 9.1 in version 2 .*update minigrad",
    ),
    "no JSON": (lambda d, t, m: m.update(model=""), "Expecting value"),
    "not an object": (put("architecture", 3), "expected a model .* got 3"),
    "field missing": (lambda d, t, m: d.pop("history"), "history"),
    "array missing": (lambda d, t, m: t.pop("dense_2.bias"), "'dense_2.bias' is missing"),
    "array too many": (
        lambda d, t, m: t.update(x=np.zeros(2)),
        r"no place for the arrays \['x'\]",
    ),
    "shape": (
        lambda d, t, m: t.update({"dense_1.weight": np.zeros((4, 7))}),
        r"'dense_1.weight' has shape \(4, 7\), expected \(4, 6\)",
    ),
    "dtype": (
        lambda d, t, m: t.update({"dense_1.weight": np.zeros((4, 6), np.float32)}),
        "'dense_1.weight' has dtype float32, expected float64",
    ),
    "buffer missing": (
        lambda d, t, m: t.pop("batch_norm_1.running_mean"),
        "_mean' is missing",
    ),
    "velocity missing": (lambda d, t, m: t.pop("optimizer.velocity"), "'optimizer.velocity' is mi"),
    "velocity too long": (
        lambda d, t, m: t.update({"optimizer.velocity": np.zeros(99)}),
        r"'optimizer.velocity' has shape \(99,\), expected \(49,\)",
    ),
    "unknown slot": (put("compiled/state", ["mean"]), "or the file is named 'mean'"),
    "unhashable slot": (put("compiled/state", [[]]), "named \\[\\]"),
    "history missing": (
        lambda d, t, m: t.pop("history.loss"),
        "history.loss' must be a vector",
    ),
    "history of integers": (
        lambda d, t, m: t.update({"history.loss": np.zeros(1, int)}),
        "history.loss' must be a vector",
    ),
    "history twice": (put("history", ["loss", "loss"]), "history.loss' must be a vector"),
    "huge layer": (
        put(f"{LAYER}/config/units", 10**12),
        r"'dense_1' .*\(4, 1000000000000\)",
    ),
    "huge input": (put("architecture/config/input_shape", [10**12]), r"\(1000000000000, 6\)"),
    "huge axes": (
        put("architecture/config/input_shape", [2] * 10**4),
        "at most 63 axes, got 10000",
    ),
    "input of a float": (put("architecture/config/input_shape", [4.0]), "must be int, got 4.0"),
    "units of text": (put(f"{LAYER}/config/units", "6"), "Dense can't be made from"),
    "units of 4000 digits": (put(f"{LAYER}/config/units", 10**4000), r"units .* below 2\*\*63"),
    "class unknown": (put(f"{LAYER}/class", "Dens"), "did you mean 'Dense'"),
    "class a path": (put(f"{LAYER}/class", "os.system"), "class 'os.system'"),
    "class a list": (put(f"{LAYER}/class", []), "class '\\[\\]'"),
    "class a loss": (put(LAYER, {"class": "MSELoss", "config": {}}), r"a Layer as layers\[0\]"),
    "class a number": (put(LAYER, 3), r"as layers\[0\], got 3"),
    "model a layer": (
        put("architecture", {"class": "Tanh", "config": {}}),
        "expected a model .* got Tanh",
    ),
    "option unknown": (put(f"{LAYER}/config/unit", 3), "no option 'unit'"),
    "options a list": (put(f"{LAYER}/config", []), "AttributeError"),
    "description unknown": (put(LAYER, {"pickle": ""}), r"'class' and 'config', got \['pickle'\]"),
    "array twice": (
        put(f"{LAYER}/config/weight_initializer", {"array": "array.9"}),
        "the array 'array.9' is missing, or used twice",
    ),
    "dtype unknown": (put("architecture/config/dtype", "float16"), "expects 'float64' or"),
    "loss unknown": (put("compiled/loss", {"class": "Tanh", "config": {}}), "loss expects a Loss"),
    "metric unknown": (put("compiled/metrics", ["ma"]), "metric 'ma' is not known"),
    "metric a number": (put("compiled/metrics", [3]), "metric|TypeError|figures"),
    "steps negative": (put("compiled/steps", -1), "steps .* got -1"),
    "steps a bool": (put("compiled/steps", True), "steps must be int, got True"),
    "frozen unknown": (put("frozen_layers", ["x"]), "or the file is named 'x'"),
    "frozen parameter unknown": (put("frozen_parameters", ["x"]), "or the file is named 'x'"),
    "penalty unknown": (put("penalties", {"x": None}), "or the file is named 'x'"),
    "penalty a layer": (
        put("penalties", {"dense_1.bias": {"class": "Tanh", "config": {}}}),
        "'dense_1.bias' expects a regularizer, got Tanh",
    ),
    "name a number": (put("names", {"": [3]}), "a name in '' must be str, got 3"),
    "names swapped": (put("names/", ["dense_2", "d", "b", "dense_1"]), "is missing|has shape"),
    "shared of another shape": (
        put("shared", {"dense_2.bias": "dense_1.bias"}),
        r"'dense_2.bias' has shape \(1,\) .*\(6,\)",
    ),
    "shared with nothing": (put("shared", {"dense_2.bias": "x"}), "the file is named 'x'"),
    "buffer shared": (
        put("shared", {"batch_norm_1.running_mean": "batch_norm_1.gamma"}),
        "named 'batch_norm_1.running_mean'",
    ),
    "shared by nothing": (put("shared", {"x": "dense_1.bias"}), "named 'x'"),
    "entropy text": (put("entropy", {"": "4"}), "entropy must be int, got '4'"),
    "entropy of nothing": (put("entropy/x", 4), "or the file is named 'x'"),
    "no generator": (put("generator_places", []), "random state of Sequential .* is missing|rng"),
    "generator of no layer": (
        lambda d, t, m: d["generator_places"].append(["dense_1", "forward", 0]),
        r"no layer .*\[\('dense_1', 'forward'\)\]",
    ),
    "generator out of range": (put("generator_places/0/2", 5), "IndexError"),
    "generator unknown": (put(f"{STATE}/0/1", "os"), "bit generator 'os'"),
    "generator of another kind": (put(f"{STATE}/0/1", "SFC64"), "a random state can't|has"),
    "generator with a float": (put(f"{STATE}/2/1", 0.0), "can't have 0.0 as its has_uint32"),
    "generator with a flag of 2": (put(f"{STATE}/2/1", 2), "can't have 2 as its has_uint32"),
    "split seed a float": (put("split_seed", 0.5), "split_seed must be int, got 0.5"),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    model = small()
    fit(model, 1)
    model.save(path)
    return path.read_bytes()


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Fail if more bytes were allocated."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


class TestMalformedFiles:
    @pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
    def test_raises_file_format_error(
        self, change: Change, message: str, saved: bytes, path: Path
    ) -> None:
        path.write_bytes(saved)
        edit(path, change)
        size = path.stat().st_size
        with memory(30 * size + 1_000_000), pytest.raises(FileFormatError, match=message) as raised:
            load(path)
        assert str(raised.value).startswith(repr(str(path)))
        assert len(str(raised.value)) < 2500

    @pytest.mark.parametrize(
        "place",
        ["architecture", LAYER, f"{LAYER}/config/weight_initializer", "compiled/loss"],
    )
    @pytest.mark.parametrize("kind", ["function", "class", "partial", "method"])
    def test_custom_functions_are_not_called(
        self, place: str, kind: str, saved: bytes, path: Path
    ) -> None:
        called: list[Any] = []

        def run(**options: Any) -> None:
            called.append(options)

        class Process:
            def __init__(self, **options: Any) -> None:
                called.append(options)

        given = {
            "function": run,
            "class": Process,
            "partial": functools.partial(run, shell=True),
            "method": Process.__init__,
        }
        path.write_bytes(saved)
        edit(path, put(place, {"class": "met", "config": {"cmd": "rm"}}))
        with pytest.raises(
            FileFormatError,
            match=r"custom_objects\['met'\] .* subclass .* got (<|functools)",
        ):
            load(path, custom_objects={"met": given[kind]})
        assert called == []

    def test_huge_input_shape_takes_no_memory(
        self, layer_of_each_class: tuple[Layer, Any], path: Path
    ) -> None:
        layer, shape = layer_of_each_class
        if isinstance(layer, Lambda):
            pytest.skip("the caller's own function is tried on a row")
        if layer.gives_mask or any(isinstance(n, tuple) for n in shape):
            pytest.skip("it stands in no chain")
        model = Sequential([layer], input_shape=shape, rng=1)
        model.save(path)
        edit(path, put("architecture/config/input_shape", [*shape[:-1], 6 * 10**10]))
        with memory(1_000_000):
            try:
                loaded = load(path)
            except FileFormatError:
                assert model.parameters.size or isinstance(layer, Reshape)
            else:
                assert loaded.parameters.size == model.parameters.size

    def test_unchanged_file_loads(self, saved: bytes, path: Path) -> None:
        path.write_bytes(saved)
        edit(path, lambda d, t, m: None)
        assert load(path).history.epochs == 1

    @pytest.mark.parametrize("depth", [100, 900, 2000, 100_000])
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("[", "]"),
            ('{"a":', "}"),
            ('{"items":[["a",', "]]}"),
            ('{"class":"Sequential","config":{"layers":[', "]}}"),
        ],
        ids=["lists", "objects", "items", "models"],
    )
    def test_deep_nesting(self, start: str, end: str, depth: int, saved: bytes, path: Path) -> None:
        path.write_bytes(saved)

        def nest(document: Any, tensors: Any, metadata: Any) -> None:
            layers = json.dumps(document["architecture"])
            deep = start * depth + "3" + end * depth
            metadata["deep"] = metadata["model"].replace(layers, deep)
            assert deep in metadata["deep"]

        edit(path, nest)
        tensors, metadata = safetensors.load(path)
        metadata["model"] = metadata.pop("deep")
        path.write_bytes(b"".join(safetensors.dumps(tensors, metadata)))
        with pytest.raises(FileFormatError):
            load(path)

    @pytest.mark.parametrize(
        ("kind", "name", "position"), [("MT19937", "pos", 625), ("Philox", "buffer_pos", 5)]
    )
    def test_generator_position_beyond_its_buffer(
        self, kind: str, name: str, position: int, path: Path
    ) -> None:
        model = small(np.random.Generator(getattr(np.random, kind)(1)))
        model.save(path)
        text = safetensors.load(path)[1]["model"]
        before = f'["{name}", '
        assert before in text
        number = text.split(before)[1].split("]")[0]

        def change(document: Any, tensors: Any, metadata: Any) -> None:
            changed = text.replace(f"{before}{number}]", f"{before}{position}]")
            document.clear()
            document.update(json.loads(changed))

        edit(path, change)
        with pytest.raises(FileFormatError, match=f"can't have {position} as its {name}"):
            load(path)

    @pytest.mark.parametrize("state", [np.zeros(3, np.uint64), np.zeros(4)], ids=["short", "float"])
    def test_generator_with_another_array(self, state: NDArray[Any], path: Path) -> None:
        small(np.random.Generator(np.random.SFC64(1))).save(path)
        edit(path, lambda d, t, m: t.update({name: state for name in t if name[:5] == "array"}))
        with pytest.raises(FileFormatError, match="a random state can't have array"):
            load(path)

    @pytest.mark.parametrize("name", ["photo.png", "notes.txt", "net.h5", "net.pt", "empty"])
    @pytest.mark.parametrize("read", [load, small().load_weights], ids=["load", "load_weights"])
    def test_other_kinds_of_files(self, read: Callable[[Path], Any], name: str, path: Path) -> None:
        other = path.with_name(name)
        other.write_bytes(OTHER_FILES[name])
        begins = re.escape(repr(OTHER_FILES[name][:8])) if name != "empty" else "it is empty"
        message = rf"{re.escape(name)}' isn't a safetensors file: .*{begins}$"
        with pytest.raises(FileFormatError, match=message):
            read(other)

    @pytest.mark.parametrize("descriptor", [0, 1, True])
    @pytest.mark.parametrize("name", ["load", "load_weights", "save", "save_weights"])
    def test_file_descriptors_are_refused(self, name: str, descriptor: Any) -> None:
        function = load if name == "load" else getattr(small(), name)
        with pytest.raises(TypeError, match=f"path .*got {descriptor}"):
            function(descriptor)
        os.fstat(descriptor)  # it is still open

    def test_truncated_anywhere(self, saved: bytes, path: Path) -> None:
        for length in range(0, len(saved), 97):
            path.write_bytes(saved[:length])
            with pytest.raises(FileFormatError):
                load(path)

    def test_missing_file_is_an_os_error(self, path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            load(path)

    @pytest.mark.slow
    def test_fuzz(self, saved: bytes, path: Path) -> None:
        """Any value in any place of the JSON gives a model or a FileFormatError."""
        hypothesis = pytest.importorskip("hypothesis")
        st = pytest.importorskip("hypothesis.strategies")
        path.write_bytes(saved)
        tensors, metadata = safetensors.load(path)
        document = json.loads(metadata["model"])
        numbers = st.integers(-3, 9) | st.sampled_from([2**31, 10**12, 2**63, 10**30, 0.5, 1e300])
        texts = st.sampled_from(["", "Dense", "Tanh", "SGD", "Zeros", "dense_1", "float32", "rng"])
        leaf = st.none() | st.booleans() | numbers | texts | st.text(max_size=3)
        keys = st.sampled_from(["class", "config", "items", "array", "function"]) | texts
        value = st.recursive(
            leaf,
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
        )
        places = list(every_place(document))

        def run(place: tuple[Any, ...], new: Any) -> None:
            changed = copy.deepcopy(document)
            inner = changed
            for step in place[:-1]:
                inner = inner[step]
            inner[place[-1]] = new
            metadata["model"] = json.dumps(changed)
            path.write_bytes(b"".join(safetensors.dumps(tensors, metadata)))
            try:
                model = load(path)
            except FileFormatError:
                return
            assert isinstance(model, Model)

        settings = hypothesis.settings(max_examples=200, deadline=None)
        settings(hypothesis.given(st.sampled_from(places), value)(run))()


def every_place(value: Any, place: tuple[Any, ...] = ()) -> Any:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        yield (*place, key)
        if isinstance(item, (dict, list)):
            yield from every_place(item, (*place, key))


class TestAtomic:
    @pytest.mark.parametrize("moment", ["fsync", "replace"])
    def test_interrupted_save_keeps_the_old_model(
        self, moment: str, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        model = small()
        model.save(path)
        before = path.read_bytes()
        fit(model, 1)
        monkeypatch.setattr(os, moment, interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.save(path)
        assert path.read_bytes() == before
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    @pytest.mark.slow
    @pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
    def test_killed_save_leaves_a_complete_model(self, path: Path) -> None:
        code = """if True:
            import sys
            from minigrad import Dense, Sequential
            model = Sequential([Dense(1000)], input_shape=(200,), rng=1)
            model.compile(optimizer="sgd", loss="mse")
            for number in range(10**6):
                model.parameters.value[:] = number
                model.history["loss"] = [float(number)]
                model.save(sys.argv[1])
                if number == 3:
                    print("ready", flush=True)
        """
        seen = set()
        for wait in np.random.default_rng(1).uniform(0, 0.05, size=2):
            command = [sys.executable, "-c", code, str(path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(wait)
                process.send_signal(signal.SIGKILL)
            loaded = load(path)
            (number,) = loaded.history["loss"]
            assert (loaded.parameters.value == number).all()
            seen.add(number)
        assert seen


def test_without_its_training(path: Path) -> None:
    class Known(Loss):  # isn't registered, and has an array among its options
        def __init__(self, factor: Any) -> None:
            super().__init__()
            self.factor = factor

        def terms(self, prediction: Any, target: Any) -> Any:
            return (prediction - target) ** 2, 2 * (prediction - target)

    model = Sequential([Dense(3, name="history"), Dense(1, name="optimizer")], rng=1)
    model.compile(optimizer="adam", loss=Known(np.ones(3)), metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    with pytest.raises(FileFormatError, match="class 'Known'"):
        load(path)
    with warnings.catch_warnings(action="error"):
        loaded = load(path, compile=False)
    assert loaded.optimizer is None
    assert loaded.loss is None
    assert not loaded.history
    assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.compile(optimizer="sgd", loss="mse")
    loaded.fit(X, Y, verbose=0)
    with pytest.raises(TypeError, match="load expects compile"):
        load(path, compile="no")  # type: ignore[arg-type]


def test_a_metric_of_one_output_that_is_a_function(path: Path) -> None:
    def bias(target: Any, prediction: Any) -> float:
        return float((prediction - target).mean())

    a = Input((4,), name="a")
    model = Model(inputs=a, outputs=[Dense(1, name="p")(a), Dense(1, name="q")(a)], rng=0)
    model.compile(optimizer="sgd", loss=["mse", "mse"], metrics={"p": [bias, "mae"]})
    model.save(path)
    with pytest.warns(UserWarning, match="'bias'"):
        loaded = load(path)
    assert list(loaded.metrics) == ["p_mae"]
    assert list(load(path, custom_objects={"bias": bias}).metrics) == ["p_bias", "p_mae"]
