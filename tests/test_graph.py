"""Graphs: values used several times, shared layers, several inputs and outputs, and bad input."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers import says, through_pickle
from minigrad import (
    SGD,
    Adam,
    Add,
    BatchNorm,
    Chain,
    Concatenate,
    CrossEntropyLoss,
    Dense,
    DivergedError,
    Dropout,
    EarlyStopping,
    Flatten,
    Graph,
    Input,
    JointLoss,
    Layer,
    Model,
    ModelCheckpoint,
    MSELoss,
    Multiply,
    Parameter,
    Residual,
    Sequential,
    Tanh,
    check_gradients,
    check_layer,
    load,
)
from minigrad.blocks.block_gradient import BlockGradient
from minigrad.trace import trace

ROWS = 60
RNG = np.random.default_rng(0)
X = {"a": RNG.normal(size=(ROWS, 4)), "b": RNG.integers(0, 9, size=(ROWS, 6))}
Y = {"kind": RNG.integers(0, 3, ROWS), "price": RNG.normal(size=ROWS)}
LOSSES = {"kind": CrossEntropyLoss(), "price": MSELoss(scale=0.1)}
WEIGHT = RNG.uniform(size=ROWS)


def seeded(**options: Any) -> Model:
    return Model(**{"rng": 1, **options})


def make(*between: Layer, compiled: bool = True, **options: Any) -> Model:
    """Two inputs and two outputs, a layer used twice, and values used several times."""
    a, b = Input((4,), name="a"), Input((6,), name="b")
    shared = Dense(5, "tanh", name="shared")
    h, k = shared(a), Dense(4)(b)
    s = Add()(h, shared(k))
    for layer in between:
        s = layer(s)
    both = Concatenate()(Multiply()(s, h, h), s, k)
    outputs = {"kind": Dense(3, name="classes")(both), "price": Dense(1)(s)}
    model = seeded(inputs=[a, b], outputs=outputs, **options)
    if compiled:
        metrics = {"kind": ["accuracy"], "price": ["mae"]}
        model.compile(optimizer="adam", loss=LOSSES, metrics=metrics)
    return model


def rows(data: dict[str, np.ndarray], index: Any) -> dict[str, np.ndarray]:
    return {name: array[index] for name, array in data.items()}


def assert_same(one: Model, two: Model) -> None:
    """Compare two models in every bit: parameters, history, and the optimizer's state."""
    assert_array_equal(one.parameters.value, two.parameters.value, strict=True)
    assert dict(one.history) == dict(two.history)
    assert one.optimizer is not None
    assert two.optimizer is not None
    for name, vector in one.optimizer.state.items():
        assert_array_equal(vector, two.optimizer.state[name], strict=True)


class Lookup(Layer):
    """A row of two numbers for each id from 0 to 8."""

    def build(self, input_shape, rng):
        self.weight = Parameter(rng.normal(size=(9, 2)))
        return (*input_shape, 2)

    def cast(self, x, dtype):
        return x.astype(np.int64, copy=False)

    def forward(self, ids, *, training=True):
        assert ids.dtype == np.int64
        if training:
            self.cache = ids
        return self.weight.value[ids]

    def backward(self, delta):
        self.weight.grad[...] = 0
        np.add.at(self.weight.grad, self.cache, delta)
        return np.zeros(self.cache.shape, delta.dtype)


class TestPasses:
    def test_deltas_of_a_value_add_up(self) -> None:
        table = {"twice": (Add(), "x", "x"), "cube": (Multiply(), "twice", "x", "x")}
        graph = Graph({"x": (2,)}, table, "cube")
        graph.build((2,), np.random.default_rng(0))
        x = np.array([[1.0, 2.0], [-3.0, 0.5]])
        assert_allclose(graph.forward(x), 2 * x**3)
        assert_allclose(graph.backward(np.ones_like(x)), 6 * x**2)

    def test_a_chain_as_a_graph_is_the_chain(self) -> None:
        chain = Sequential([Dense(5, "tanh"), Dense(2)], input_shape=(3,), rng=1)
        x = Input((3,), name="x")
        graph = seeded(inputs=x, outputs=Dense(2)(Dense(5, "tanh")(x)))
        data, y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))
        for model in (chain, graph):
            model.compile(optimizer="adam", loss="mse")
            model.fit(data, y, epochs=3, batch_size=4, verbose=0)
        assert_same(chain, graph)

    def test_a_skip_is_a_residual(self) -> None:
        residual = Sequential([Residual(Dense(3)), Dense(2)], input_shape=(3,), rng=1)
        x = Input((3,), name="x")
        graph = seeded(inputs=x, outputs=Dense(2)(Add()(x, Dense(3)(x))))
        data, delta = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))
        assert_array_equal(residual.forward(data), graph.forward(data))
        assert_array_equal(residual.backward(delta), graph.backward(delta))
        assert_array_equal(residual.parameters.grad, graph.parameters.grad)

    def test_gradients(self) -> None:
        model = make(Dropout(0.3), Residual(Dense(5, "tanh")))
        report = check_gradients(model, rows(X, slice(6)), rows(Y, slice(6)), LOSSES)
        assert report, report
        paths = {c.path for c in report.comparisons}
        assert {"input 'a'", "input 'b'", "shared.weight", "classes.bias"} < paths

    def test_gradients_with_weights(self) -> None:
        weight = {"kind": WEIGHT[:6], "price": np.arange(6.0)}
        x, y = rows(X, slice(6)), rows(Y, slice(6))
        assert check_gradients(make(), x, y, LOSSES, sample_weight=weight)

    def test_wrong_gradient_of_an_input_is_named(self) -> None:
        class Wrong(Add):
            def backward(self, delta):
                first, *others = super().backward(delta)
                return (1.01 * first, *others)

        a, b = Input((2,), name="left"), Input((2,), name="right")
        model = seeded(inputs=[a, b], outputs=Wrong()(a, b))
        x = {"left": RNG.normal(size=(3, 2)), "right": RNG.normal(size=(3, 2))}
        report = check_gradients(model, x, np.zeros((3, 2)), "mse")
        failed = [c.path for c in report.comparisons if c.error > report.tolerance]
        assert failed == ["input 'left'"]
        assert "FAILED: input 'left'[" in str(report)

    def test_an_input_without_a_slope(self) -> None:
        class Masked(Layer):
            def build(self, input_shape, rng):
                return input_shape[1]

            def forward(self, mask, x, *, training=True):
                if training:
                    self.cache = mask
                return np.where(mask > 0, x, 0)

            def backward(self, delta):
                return None, np.where(self.cache > 0, delta, 0)

        mask, x = Input((3,), name="mask"), Input((3,), name="x")
        model = seeded(inputs=[mask, x], outputs=Dense(2)(Masked()(Tanh()(mask), x)))
        data = {"mask": RNG.normal(size=(5, 3)), "x": RNG.normal(size=(5, 3))}
        report = check_gradients(model, data, np.zeros((5, 2)), "mse")
        assert report, report
        assert [c.path for c in report.comparisons[-2:]] == ["input 'mask'", "input 'x'"]
        assert report.comparisons[-2].analytic == 0
        assert model.backward(np.ones_like(model.forward(data)))[1].shape == (5, 3)

    def test_backward_parameters_assigns_the_same_gradients(self) -> None:
        model = make()
        deltas = {name: RNG.normal(size=p.shape) for name, p in model.forward(X).items()}
        model.backward(deltas)
        whole = model.parameters.grad.copy()
        model.forward(X)
        model.backward_parameters(deltas)
        assert_array_equal(model.parameters.grad, whole)

    def test_inputs_in_order_or_by_name(self) -> None:
        model = make()
        by_name, in_order = model.forward(X), model.forward(X["a"], X["b"])
        reversed_names = model.forward({"b": X["b"], "a": X["a"]})
        for name in ("kind", "price"):
            assert_array_equal(by_name[name], in_order[name])
            assert_array_equal(by_name[name], reversed_names[name])

    def test_outputs_as_a_list_have_the_names_of_their_layers(self) -> None:
        x = Input((3,))
        model = seeded(inputs=x, outputs=[Dense(2, name="one")(x), Dense(1)(x)])
        assert model.output_shape == {"one": (2,), "dense_1": (1,)}
        assert model.predict(np.ones((4, 3)))["dense_1"].shape == (4, 1)

    def test_a_hidden_value_can_be_an_output_too(self) -> None:
        x = Input((3,), name="x")
        h = Dense(4, "tanh")(x)
        model = seeded(inputs=x, outputs={"h": h, "y": Dense(2)(h)})
        data = RNG.normal(size=(5, 3))
        y = {"h": RNG.normal(size=(5, 4)), "y": RNG.normal(size=(5, 2))}
        assert check_gradients(model, data, y, {"h": "mse", "y": "huber"})

    def test_a_value_can_be_two_outputs(self) -> None:
        x = Input((3,), name="x")
        h = Dense(2)(x)
        model = seeded(inputs=x, outputs={"one": h, "two": h})
        data, y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))
        assert check_gradients(model, data, {"one": y, "two": -y}, {"one": "mse", "two": "huber"})

    def test_ids_stay_integers_and_are_not_varied(self) -> None:
        a, b = Input((3,), name="ids"), Input((2,), name="b")
        h = Add()(Flatten()(Lookup()(a)), Dense(6)(b))
        inner = Model(inputs=[a, b], outputs=h, name="inner")
        u, v = Input((3,), name="u"), Input((2,), name="v")
        outer = seeded(inputs=[u, v], outputs=Dense(1)(inner(u, v)))
        x = {"u": RNG.integers(0, 9, size=(5, 3)), "v": RNG.normal(size=(5, 2))}
        report = check_gradients(outer, x, RNG.normal(size=5), "mse")
        assert report, report
        assert report.comparisons[-1].path == "input 'v'"
        assert "input 'u'" not in {c.path for c in report.comparisons}
        assert check_layer(Lookup(), (4,))
        table = {"h": (Lookup(), "ids"), "sum": (Multiply(), "h", "x")}
        assert check_layer(Graph({"x": (3, 2), "ids": (3,)}, table, "sum"), ((3, 2), (3,)))

    def test_inference_writes_nothing(self) -> None:
        model = make()
        model.predict(X)
        with says(RuntimeError, "before forward"):
            model.backward({name: np.ones((1, 1)) for name in Y})

    def test_varying_lengths(self) -> None:
        a, b = Input((None, 3), name="a"), Input((None, 3), name="b")
        h = Concatenate()(Tanh()(a), Add()(a, b))
        model = seeded(inputs=[a, b], outputs=h)
        assert model.output_shape == (None, 6)
        for steps in (2, 5):
            x = {name: RNG.normal(size=(4, steps, 3)) for name in ("a", "b")}
            assert model.predict(x).shape == (4, steps, 6)
            output = model.forward(x)
            assert [d.shape for d in model.backward(output)] == 2 * [(4, steps, 3)]
        with says(ValueError, "input 'b'", "(batch, None, 3)", "(4, 5, 2)"):
            model.predict({"a": x["a"], "b": x["b"][..., :2]})
        with says(ValueError, "add_1", "(4, 5, 3)", "(4, 4, 3)"):
            model.predict({"a": x["a"], "b": x["b"][:, :4]})

    def test_trace_records_all_inputs_and_deltas(self) -> None:
        recorded = trace(make(), {"a": X["a"], "b": X["b"].astype(float)}, Y, JointLoss(LOSSES))
        step = recorded["multiply_1"]
        assert len(step.inputs) == len(step.input_deltas) == 3
        assert recorded.first_not_finite() is None


class TestSharing:
    def siamese(self, other: Layer | None = None) -> Model:
        a, b = Input((4,), name="a"), Input((4,), name="b")
        encoder = Dense(5, "tanh", name="encoder")
        h = encoder(a)
        k = (other or encoder)(b)
        return seeded(inputs=[a, b], outputs=Dense(1)(Multiply()(h, k)))

    def test_a_layer_used_twice_equals_two_with_shared_parameters(self) -> None:
        one = self.siamese()
        weight, bias = Parameter(np.zeros((4, 5))), Parameter(np.zeros(5))
        a, b = Input((4,), name="a"), Input((4,), name="b")
        first, second = (Dense(5, "tanh", weight=weight, bias=bias) for _ in range(2))
        two = seeded(inputs=[a, b], outputs=Dense(1)(Multiply()(first(a), second(b))))
        assert one.parameters.size == two.parameters.size == 31
        two.parameters.value = one.parameters.value
        x = {"a": RNG.normal(size=(9, 4)), "b": RNG.normal(size=(9, 4))}
        y = RNG.normal(size=9)
        for model in (one, two):
            model.compile(optimizer="adam", loss="mse")
            model.fit(x, y, epochs=3, shuffle=False, verbose=0)
        assert_same(one, two)

    def test_gradients(self) -> None:
        x = {"a": RNG.normal(size=(9, 4)), "b": RNG.normal(size=(9, 4))}
        assert check_gradients(self.siamese(), x, RNG.normal(size=9), "mse")

    def test_the_second_place_has_a_name_and_a_cache_of_its_own(self) -> None:
        model = self.siamese()
        assert isinstance(model.network, Graph)
        assert list(model.network.layers) == ["encoder", "encoder_2", "multiply_1", "dense_1"]
        assert model.network.layers["encoder"] is not model.network.layers["encoder_2"]
        assert "# encoder_2.weight is encoder.weight" in repr(model)

    def test_a_block_with_a_buffer_or_dropout_at_two_places(self) -> None:
        a, b = Input((4,), name="a"), Input((4,), name="b")
        block = Chain([Dense(3), BatchNorm(), Dropout(0.2)])
        model = seeded(inputs=[a, b], outputs=Dense(1)(Add()(block(a), block(b))))
        x = {"a": RNG.normal(size=(9, 4)), "b": 3 + RNG.normal(size=(9, 4))}
        assert check_gradients(model, x, RNG.normal(size=9), "mse")

    def test_a_layer_used_twice_must_fit_both(self) -> None:
        a, b = Input((4,), name="a"), Input((3,), name="b")
        encoder = Dense(5, name="encoder")
        with says(ValueError, "encoder", "(4,)", "(3,)"):
            seeded(inputs=[a, b], outputs=Add()(encoder(a), encoder(b)))

    def test_a_graph_nests_as_a_layer_at_two_places(self) -> None:
        a, b = Input((4,), name="a"), Input((6,), name="b")
        inner = seeded(inputs=[a, b], outputs=Dense(2)(Concatenate()(a, b)), name="inner")
        u, v, w = Input((4,), name="u"), Input((6,), name="v"), Input((4,), name="w")
        outer = seeded(inputs=[u, v, w], outputs=Dense(1)(Multiply()(inner(u, v), inner(w, v))))
        assert outer.parameters.size == 25
        x = {name: RNG.normal(size=(7, n)) for name, n in (("u", 4), ("v", 6), ("w", 4))}
        y = RNG.normal(size=7)
        assert check_gradients(outer, x, y, "mse")
        outer.compile(optimizer="adam", loss="mse")
        outer.fit(x, y, epochs=2, verbose=0)

    def test_a_graph_in_a_chain_and_a_chain_in_a_graph(self) -> None:
        table = {"h": (Sequential([Dense(4), Tanh()]), "x"), "s": (Concatenate(), "h", "x")}
        model = Sequential([Graph({"x": (3,)}, table, "s"), Dense(2)], input_shape=(3,), rng=0)
        assert check_gradients(model, RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2)), "mse")
        assert "graph_1.h.dense_1.weight" in dict(model.named_parameters())


class TestTraining:
    def test_history_has_losses_and_metrics_by_output(self) -> None:
        history = make().fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
        names = ["loss", "kind_loss", "price_loss", "kind_accuracy", "price_mae"]
        assert list(history) == [*names, *(f"val_{name}" for name in names)]
        for prefix in ("", "val_"):
            parts = np.add(history[f"{prefix}kind_loss"], history[f"{prefix}price_loss"])
            assert_allclose(history[f"{prefix}loss"], parts, rtol=1e-12)

    def test_evaluate_is_what_the_parts_say(self) -> None:
        model = make()
        found, p = model.evaluate(X, Y), model.predict(X)
        kind = CrossEntropyLoss().forward(p["kind"], Y["kind"])
        price = MSELoss(scale=0.1).forward(p["price"], Y["price"])
        assert found["kind_loss"] == pytest.approx(kind, rel=1e-12)
        assert found["loss"] == pytest.approx(kind + price, rel=1e-12)
        assert found["kind_accuracy"] == (p["kind"].argmax(axis=1) == Y["kind"]).mean()
        assert found["price_mae"] == pytest.approx(np.abs(p["price"][:, 0] - Y["price"]).mean())

    def test_weights_of_all_outputs_or_of_each(self) -> None:
        model = make()
        assert model.evaluate(X, Y, sample_weight=WEIGHT) == model.evaluate(
            X, Y, sample_weight={"kind": WEIGHT, "price": WEIGHT}
        )
        own = model.evaluate(X, Y, sample_weight={"kind": WEIGHT, "price": np.ones(ROWS)})
        p = model.predict(X)
        kind = CrossEntropyLoss().forward(p["kind"], Y["kind"], sample_weight=WEIGHT)
        assert own["kind_loss"] == pytest.approx(kind, rel=1e-12)
        assert own["price_loss"] == pytest.approx(model.evaluate(X, Y)["price_loss"], rel=1e-12)

    def test_class_weight_is_a_sample_weight(self) -> None:
        factors = np.array([1.0, 2.0, 0.5])[Y["kind"]]
        weight = {"kind": factors, "price": np.ones(ROWS)}
        one, two = make(), make()
        one.fit(X, Y, class_weight={"kind": {0: 1, 1: 2, 2: 0.5}}, epochs=2, verbose=0)
        two.fit(X, Y, sample_weight=weight, epochs=2, verbose=0)
        assert_same(one, two)

    def test_validation_data(self) -> None:
        model = make()
        held_out = rows(X, slice(20)), rows(Y, slice(20)), WEIGHT[:20]
        history = model.fit(X, Y, validation_data=held_out, epochs=1, verbose=0)
        found = model.evaluate(*held_out[:2], sample_weight=held_out[2])
        assert {f"val_{n}": [v] for n, v in found.items()}.items() <= dict(history).items()

    def test_an_iterable_of_batches(self) -> None:
        places = [slice(0, 32), slice(32, 60)]
        one, two = make(), make()
        batches = [(rows(X, place), rows(Y, place)) for place in places]
        one.fit(batches, epochs=2, verbose=0, validation_data=batches)
        two.fit(X, Y, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y))
        assert_array_equal(one.parameters.value, two.parameters.value)
        for name, values in two.history.items():
            assert_allclose(one.history[name], values, rtol=1e-12)
        found = two.evaluate(batches)
        for name, value in two.evaluate(X, Y).items():
            assert found[name] == pytest.approx(value, rel=1e-12)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_row_blocks_equal_one_batch(self, weighted: bool, monkeypatch) -> None:
        weight = {"kind": WEIGHT, "price": WEIGHT[::-1]} if weighted else None
        whole = make().objective(X, Y, sample_weight=weight)
        theta = make().parameters.value
        j, g = whole(theta)
        monkeypatch.setattr("minigrad.blocks.plan._MIN_BLOCK_ROWS", 1)
        monkeypatch.setattr("minigrad.blocks.plan.BLOCK_BYTES", 4000)
        blocks = make().objective(X, Y, sample_weight=weight)
        assert blocks._gradient.rows < 20
        block_j, block_g = blocks(theta)
        assert block_j == pytest.approx(j, rel=1e-12)
        assert_allclose(block_g, g, rtol=1e-9, atol=1e-12)
        evaluated = make().evaluate(X, Y, sample_weight=weight)
        assert evaluated["loss"] == pytest.approx(j, rel=1e-12)

    def test_threads_give_the_same_bits(self, monkeypatch) -> None:
        monkeypatch.setattr("minigrad.blocks.plan._MIN_BLOCK_ROWS", 1)
        monkeypatch.setattr("minigrad.blocks.plan.BLOCK_BYTES", 4000)
        found = []
        for threads in (1, 2, 3):
            model = make()
            model.fit(X, Y, batch_size=None, epochs=3, verbose=0, threads=threads)
            found.append((model.parameters.value, model.predict(X, threads=threads)["kind"]))
        for value, prediction in found[1:]:
            assert_array_equal(value, found[0][0])
            assert_array_equal(prediction, found[0][1])

    def test_replicas_of_a_graph_share_values(self) -> None:
        model = make()
        with BlockGradient(
            model.network, JointLoss(LOSSES), parameters=model.parameters
        ) as gradient:
            first, second = gradient._workers(2)
        assert second.network is not first.network
        assert np.shares_memory(
            second.network.layers["shared"].weight.value, model.parameters.value
        )

    def test_objective_has_exact_gradients(self) -> None:
        model = make()
        f, theta = model.objective(X, Y), model.parameters.value.copy()
        _, g = f(theta)
        for i in range(0, theta.size, 7):
            step = np.zeros_like(theta)
            step[i] = 1e-6
            slope = (f(theta + step)[0] - f(theta - step)[0]) / 2e-6
            assert g[i] == pytest.approx(slope, rel=1e-5, abs=1e-8)

    def test_freezing(self) -> None:
        model = make()
        model["shared"].trainable = False
        kept = model["shared"].weight.value.copy()
        model.fit(X, Y, epochs=1, verbose=0)
        assert_array_equal(model["shared"].weight.value, kept)

    def test_callbacks_know_the_losses_of_outputs(self, tmp_path: Path) -> None:
        path = tmp_path / "best.safetensors"
        stop = EarlyStopping(monitor="val_kind_loss", patience=1)
        best = ModelCheckpoint(path, monitor="val_kind_loss")
        model = make()
        model.compile(optimizer=Adam(learning_rate=0.05), loss=LOSSES)
        split = {"validation_split": 0.3, "epochs": 40, "verbose": 0}
        history = model.fit(X, Y, callbacks=[stop, best], **split)
        assert len(history["loss"]) < 40
        lowest = min(history["val_kind_loss"])
        assert min(load(path).history["val_kind_loss"]) == lowest

    def test_a_divergence_names_the_layer(self) -> None:
        model = make()
        model.compile(optimizer=SGD(learning_rate=1e200), loss=LOSSES)
        with pytest.raises(DivergedError, match=r"'(shared|shared_2|dense_1|classes|dense_2)'"):
            model.fit(X, Y, epochs=5, verbose=0)

    def test_float32(self) -> None:
        model = make(dtype="float32")
        model.fit(X, Y, epochs=1, verbose=0)
        assert all(p.dtype == np.float32 for p in model.predict(X).values())
        again = make().astype("float32")
        assert again.parameters.value.dtype == np.float32
        assert all(p.dtype == np.float32 for p in again.predict(X).values())
        assert all(d.dtype == np.float32 for d in again.backward(again.forward(X)))


class TestCopies:
    def copies(self, model: Model, path: Path) -> list[Model]:
        model.save(path)
        return [load(path), through_pickle(model), copy.deepcopy(model)]

    def test_training_goes_on_in_the_same_bits(self, tmp_path: Path) -> None:
        model = make(Dropout(0.2), BatchNorm())
        options = {"epochs": 2, "validation_split": 0.2, "batch_size": 16, "verbose": 0}
        model.fit(X, Y, **options)
        copies = self.copies(model, tmp_path / "net.safetensors")
        model.fit(X, Y, **options)
        for twin in copies:
            twin.fit(X, Y, **options)
            assert_same(model, twin)
            assert repr(twin) == repr(model)

    def test_parameters_stay_shared(self, tmp_path: Path) -> None:
        model = make()
        for twin in self.copies(model, tmp_path / "net.safetensors"):
            assert twin.parameters.size == model.parameters.size
            twin["shared"].weight.value[...] = 7
            assert (twin["shared_2"].weight.value == 7).all()

    def test_a_nested_graph_is_saved(self, tmp_path: Path) -> None:
        a, b = Input((4,), name="a"), Input((6,), name="b")
        inner = seeded(inputs=[a, b], outputs=Dense(2)(Concatenate()(a, b)), name="inner")
        u, v = Input((4,), name="u"), Input((6,), name="v")
        outer = seeded(inputs=[u, v], outputs=Dense(1)(inner(u, v)))
        data = {"u": RNG.normal(size=(3, 4)), "v": RNG.normal(size=(3, 6))}
        for twin in self.copies(outer, tmp_path / "net.safetensors"):
            assert_array_equal(twin.predict(data), outer.predict(data))

    def test_an_unbuilt_graph_keeps_its_sharing(self, tmp_path: Path) -> None:
        encoder = Dense(4)
        table = {"one": (encoder, "x"), "two": (encoder, "x"), "sum": (Add(), "one", "two")}
        model = Model(Graph({"x": (3,)}, table, "sum"))
        model.save(tmp_path / "net.safetensors")
        twin = load(tmp_path / "net.safetensors")
        assert repr(twin) == repr(model)
        twin.predict(np.ones((2, 3)))
        assert twin.parameters.size == 16

    def test_weights_alone(self, tmp_path: Path) -> None:
        model, other = make(), make(rng=7)
        model.save_weights(tmp_path / "weights.safetensors")
        other.load_weights(tmp_path / "weights.safetensors")
        assert_array_equal(other.parameters.value, model.parameters.value)


def single() -> Model:
    """One input and one output, compiled."""
    x = Input((4,), name="x")
    model = seeded(inputs=x, outputs=Dense(1)(x))
    model.compile(optimizer="sgd", loss="mse")
    return model


A, B = Input((4,), name="a"), Input((6,), name="b")
ONES = np.ones((2, 4))


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        # data
        (lambda: make().fit(X["a"], Y), TypeError, ["x", "'a', 'b'", "ndarray"]),
        (lambda: make().fit({"a": X["a"]}, Y), ValueError, ["x", "'a', 'b'", "['a']"]),
        (lambda: make().predict([X["a"]] * 3), TypeError, ["x", "'a', 'b'", "list of 3"]),
        (lambda: make().forward(X["a"]), TypeError, ["x", "'a', 'b'", "ndarray"]),
        (lambda: make().forward(ONES, ONES, ONES), TypeError, ["Model", "2 inputs", "3"]),
        (
            lambda: make().predict({"a": X["a"], "b": X["a"]}),
            ValueError,
            ["input 'b'", "(batch, 6)", "(60, 4)"],
        ),
        (
            lambda: make().predict({"a": X["a"], "b": X["b"][:5]}),
            ValueError,
            ["x['a'] has shape (60, 4)", "x['b'] has shape (5, 6)"],
        ),
        (
            lambda: make().predict({"a": X["a"] * np.nan, "b": X["b"]}),
            ValueError,
            ["x['a'] holds nan", "(0, 0)"],
        ),
        (lambda: make().fit(X, Y["kind"]), TypeError, ["y", "'kind', 'price'", "ndarray"]),
        (lambda: make().fit(X, {"kind": Y["kind"]}), ValueError, ["y", "'price'", "['kind']"]),
        (
            lambda: make().fit(X, {"kind": Y["price"], "price": Y["price"]}),
            TypeError,
            ["y['kind']", "y holds 1.28"],
        ),
        (
            lambda: make().fit(X, {**Y, "price": Y["price"] * np.inf}),
            ValueError,
            ["y['price']", "inf"],
        ),
        (lambda: make().fit([(X, Y), (X, Y["kind"])]), TypeError, ["batch 2", "y", "'price'"]),
        (
            lambda: make().fit(X, Y, validation_data=(X["a"], Y)),
            TypeError,
            ["validation_data", "x", "'a', 'b'"],
        ),
        (lambda: single().predict({"x": ONES}), TypeError, ["x", "['x']", "x['x']"]),
        (lambda: single().fit(ONES, {"p": [1, 2]}), TypeError, ["y", "['p']", "y['p']"]),
        (
            lambda: single().fit(ONES, [1, 2], sample_weight={"p": [1, 2]}),
            TypeError,
            ["sample_weight", "['p']"],
        ),
        # weights
        (
            lambda: make().fit(X, Y, sample_weight={"kind": WEIGHT}),
            ValueError,
            ["sample_weight", "'kind', 'price'", "['kind']"],
        ),
        (lambda: make().fit(X, Y, sample_weight=WEIGHT[:9]), ValueError, ["(60,)", "(9,)"]),
        (
            lambda: make().fit(X, Y, class_weight={0: 1, 1: 1, 2: 1}),
            ValueError,
            ["class_weight", "'kind', 'price'", "{0: 1, 1: 1, 2: 1}"],
        ),
        (
            lambda: make().fit(X, Y, class_weight={"kinds": {0: 1}}),
            ValueError,
            ["class_weight", "'kind'", "'kinds'"],
        ),
        # losses and metrics
        (
            lambda: make().compile(optimizer="sgd", loss=["mse"]),
            TypeError,
            ["loss", "'kind', 'price'", "list"],
        ),
        (
            lambda: make().compile(optimizer="sgd", loss={"kind": "mse"}),
            ValueError,
            ["loss", "'kind', 'price'", "['kind']"],
        ),
        (
            lambda: make().compile(optimizer="sgd", loss=LOSSES, metrics=["mae"]),
            TypeError,
            ["metrics", "'kind'"],
        ),
        (
            lambda: make().compile(optimizer="sgd", loss=LOSSES, metrics={"kinds": ["mae"]}),
            ValueError,
            ["metrics", "'kinds'", "did you mean 'kind'"],
        ),
        (
            lambda: single().compile(optimizer="sgd", loss={"p": "mse"}),
            ValueError,
            ["Model", "single output", "['p']"],
        ),
        (lambda: check_gradients(make(), X, Y, "mse"), TypeError, ["loss", "'kind', 'price'"]),
        (lambda: JointLoss({}), TypeError, ["JointLoss", "{}"]),
        (
            lambda: JointLoss(LOSSES).forward({"kind": ONES}, {}),
            ValueError,
            ["the prediction", "'kind', 'price'", "['kind']"],
        ),
        # calls of layers
        (lambda: Dense(3)(ONES), TypeError, ["Dense", "ndarray", "forward(x)"]),
        (lambda: single()(ONES), TypeError, ["Model", "ndarray", "predict(x)"]),
        (lambda: Model([A, B], Dense(3)([A, B])), TypeError, ["Dense", "2 inputs"]),
        (lambda: Dense(3)(), TypeError, ["Dense", "nothing"]),
        (
            lambda: Model(inputs=[A, B], outputs=Dense(3, name="d")(A, B)),
            TypeError,
            ["Dense 'd'", "2 inputs", "a, b"],
        ),
        (
            lambda: Model(inputs=[A, B], outputs=Add()(A, B)),
            ValueError,
            ["Add 'add_1'", "((4,), (6,))"],
        ),
        (lambda: Model(inputs=A, outputs=Add()(A)), ValueError, ["Add 'add_1'", "(4,)"]),
        (lambda: Model(inputs=A, outputs=Concatenate()(A)), ValueError, ["Concatenate", "(4,)"]),
        (
            lambda: Model(inputs=A, outputs=make()(A)),
            ValueError,
            ["Model 'model_1'", "((4,), (6,))", "(4,)"],
        ),
        (
            lambda: Model(inputs=[A, B], outputs=Dense(1)(make()(A, B))),
            ValueError,
            ["Model 'model_1'", "several outputs"],
        ),
        # inputs and outputs of a model
        (
            lambda: Model(inputs=A, outputs=Dense(1)(B)),
            ValueError,
            ["Model", "depend on Input 'b'"],
        ),
        (lambda: Model(inputs=[A, B], outputs=Dense(1)(B)), ValueError, ["takes ['a']"]),
        (lambda: Model(inputs=A, outputs=A), TypeError, ["outputs[0]", "Input 'a'"]),
        (lambda: Model(inputs=A, outputs=Dense(1)), TypeError, ["outputs[0]", "Dense(1)"]),
        (lambda: Model(inputs=A, outputs={"p": 3}), TypeError, ["outputs['p']", "3"]),
        (lambda: Model(inputs=Dense(1)(A), outputs=Dense(1)(A)), TypeError, ["inputs[0]"]),
        (lambda: Model(inputs=[A, A], outputs=Dense(1)(A)), ValueError, ["['a', 'a']"]),
        (lambda: Model(inputs=A, outputs=Dense(1, name="a")(A)), ValueError, ["'a'", "twice"]),
        (lambda: Model(), TypeError, ["Model", "inputs=", "None"]),
        (lambda: Model([A, B]), TypeError, ["Model", "outputs="]),
        (lambda: Model(np.ones(3)), TypeError, ["Model", "a layer, or inputs="]),
        (lambda: Model(A, Dense(1)(A), inputs=A), TypeError, ["Model", "inputs twice"]),
        (lambda: Model(Dense(1), Dense(1)(A)), TypeError, ["both"]),
        (lambda: Model(inputs=A), TypeError, ["Model", "outputs="]),
        (lambda: Model(Dense(1), inputs=A, outputs=Dense(1)(A)), TypeError, ["both"]),
        (
            lambda: Model(inputs=A, outputs=Dense(1)(A), input_shape=(9,)),
            TypeError,
            ["input_shape"],
        ),
        (lambda: Input(4), TypeError, ["Input", "4", "(4,)"]),
        (lambda: Input((4, 0), name="a"), ValueError, ["Input 'a'", "0"]),
        # a graph's table
        (
            lambda: Graph({"x": (3,)}, {"h": (Add(), "x", "k"), "k": (Dense(3), "h")}, "k"),
            ValueError,
            ["'h'", "'k'", "before it"],
        ),
        (lambda: Graph({"x": (3,)}, {"h": (Dense(2), "y")}, "h"), ValueError, ["'h'", "'y'"]),
        (
            lambda: Graph({"x": (3,)}, {"h": (Dense(2), "x"), "k": (Dense(2), "x")}, "h"),
            ValueError,
            ["Graph", "['k']"],
        ),
        (
            lambda: Graph({"x": (3,), "z": (2,)}, {"h": (Dense(2), "x")}, "h"),
            ValueError,
            ["Graph", "['z']"],
        ),
        (lambda: Graph({"x": (3,)}, {"x": (Dense(2), "x")}, "x"), ValueError, ["'x'", "twice"]),
        (lambda: Graph({"x": (3,)}, {"h": (Dense(2), "x")}, "j"), ValueError, ["'j'", "'h'"]),
        (
            lambda: Graph({"x": (3,)}, {"h": (Dense(2), "x")}, ["h"]),
            TypeError,
            ["outputs", "['h']"],
        ),
        (lambda: Graph({"x": (3,)}, {"h": Dense(2)}, "h"), TypeError, ["'h'", "Dense(2)"]),
        (lambda: Graph({"x": (3,)}, {"h": ("g", "x")}, "h"), TypeError, ["'h'", "('g', 'x')"]),
        (lambda: Graph({"x": (3,)}, {"h": (Dense(2),)}, "h"), TypeError, ["'h'", "(Dense(2),)"]),
        (
            lambda: Graph({"x": (3,)}, {"h": (Dense(2), "x")}, "h").build((4,), RNG),
            ValueError,
            ["Graph", "{'x': (3,)}", "(4,)"],
        ),
        (
            lambda: Graph({"x": (3,)}, {"h": (Dense(2), "x")}, "h").parameters,
            RuntimeError,
            ["Graph", "isn't built"],
        ),
        # arrays in a pass
        (
            lambda: make().fit([X["a"]], Y),
            TypeError,
            ["x expects a dict", "got list of 1: pass {'a': ..., 'b': ...}"],
        ),
        (
            lambda: make().fit(X, {"kindd": Y["kind"], "price": Y["price"]}),
            ValueError,
            ["y expects a dict", "['kindd', 'price']: did you mean 'kind'?"],
        ),
        (
            lambda: Concatenate()([Input((4,), name="a"), ONES]),
            TypeError,
            ["Concatenate", "got an Input, an ndarray", "forward(x)"],
        ),
        (lambda: make().backward({}), RuntimeError, ["Model", "before forward"]),
        (
            lambda: Concatenate(name="c").forward(ONES, np.ones((3, 4))),
            ValueError,
            ["Concatenate 'c'", "(2, 4)", "(3, 4)"],
        ),
        (
            lambda: Multiply().forward(ONES, ONES[:, :1]),
            ValueError,
            ["Multiply", "(2, 4)", "(2, 1)"],
        ),
    ],
)
def test_bad_input_is_refused(call: Any, error: type[Exception], parts: list[str]) -> None:
    with says(error, *parts):
        call()


@pytest.mark.parametrize(
    ("delta", "error", "parts"),
    [
        ({"kind": np.ones((ROWS, 3))}, ValueError, ["delta", "'kind', 'price'", "['kind']"]),
        (np.ones((ROWS, 3)), TypeError, ["delta", "'kind', 'price'", "ndarray"]),
        (
            {"kind": np.ones((ROWS, 3)), "price": np.ones(ROWS)},
            ValueError,
            ["Dense 'dense_2'", "(60, 1)", "(60,)"],
        ),
    ],
)
def test_bad_delta_is_refused(delta: Any, error: type[Exception], parts: list[str]) -> None:
    model = make()
    model.forward(X)
    for backward in (model.backward, model.backward_parameters):
        with says(error, *parts):
            backward(delta)


def test_backward_must_return_a_delta_for_each_input() -> None:
    class First(Add):
        def backward(self, delta):
            return super().backward(delta)[0]

    model = Model(inputs=[A, B], outputs=First(name="first")(A, Dense(4)(B)))
    model.forward(ONES, np.ones((2, 6)))
    with says(TypeError, "First 'first'", "2 inputs", "got 1"):
        model.backward(ONES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_model_that_is_used_twice_takes_the_dtype_of_the_outer_one(dtype: str) -> None:
    encoder, a, b = Sequential([Dense(2)]), Input((3,)), Input((3,))
    model = Model(inputs=[a, b], outputs=Add()(encoder(a), encoder(b)), dtype=dtype)
    assert {p.value.dtype for _, p in model.named_parameters()} == {np.dtype(dtype)}
    assert len(model.parameters) == 2


class TestInOrder:
    """Lists for several inputs and outputs, in the order of the model's."""

    LISTS = [X["a"], X["b"]], [Y["kind"], Y["price"]]

    def test_as_dicts(self) -> None:
        order = [*make().output_layers]
        assert order == ["kind", "price"]
        models = make(), make()
        losses = [CrossEntropyLoss(), "mse"]
        models[0].compile(optimizer="sgd", loss=losses, metrics=["accuracy", ["mae", "mse"]])
        models[1].compile(
            optimizer="sgd",
            loss=dict(zip(order, losses, strict=True)),
            metrics={"kind": ["accuracy"], "price": ["mae", "mse"]},
        )
        runs = [
            model.fit(*data, epochs=2, validation_data=data, verbose=0)
            for model, data in zip(models, (self.LISTS, (X, Y)), strict=True)
        ]
        assert runs[0] == runs[1]
        assert models[0].evaluate(*self.LISTS) == models[1].evaluate(X, Y)
        for one, other in zip(
            models[0].predict(self.LISTS[0]).values(), models[1].predict(X).values(), strict=True
        ):
            assert_array_equal(one, other)

    def test_batches(self) -> None:
        models = make(), make()
        for model, batch in zip(models, (self.LISTS, (X, Y)), strict=True):
            model.compile(optimizer="sgd", loss=[CrossEntropyLoss(), "mse"])
            model.fit([batch, batch], verbose=0)
        assert_array_equal(*(model.parameters.value for model in models))

    @pytest.mark.parametrize("weights", [[0.5, 4], {"price": 4, "kind": 0.5}])
    def test_loss_weights_multiply_the_scales(self, weights: Any) -> None:
        given = MSELoss(scale=0.25)
        models = make(), make()
        models[0].compile(optimizer="sgd", loss=[CrossEntropyLoss(), given], loss_weights=weights)
        models[1].compile(optimizer="sgd", loss=[CrossEntropyLoss(scale=0.5), MSELoss(scale=1.0)])
        runs = [model.fit(X, Y, verbose=0) for model in models]
        assert runs[0] == runs[1]
        assert given.scale == 0.25

    def test_refused(self) -> None:
        with says(TypeError, "y", "'kind', 'price'", "list of 1"):
            make().fit(X, [Y["kind"]])
        with says(TypeError, "loss_weights", "'kind', 'price'", "list of 3"):
            make().compile(optimizer="sgd", loss=["mse", "mse"], loss_weights=[1, 2, 3])
        with says(ValueError, "loss_weights", "scale"):
            Sequential([Dense(1)]).compile(optimizer="sgd", loss="mse", loss_weights=[2.0])
