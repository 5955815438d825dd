"""The flat vector: its views survive assignment, copies and pickles."""

import copy
import pickle

import numpy as np
import pytest

from minigrad import (
    SGD,
    Chain,
    Dense,
    Layer,
    MSELoss,
    Parameter,
    Parameters,
    Sequential,
    Sigmoid,
    check_gradients,
)
from minigrad.core.layer import replica, walk


def make(**options) -> Sequential:
    inner = Sequential([Dense(4), Sigmoid()])
    return Sequential([Dense(3), inner, Dense(2)], input_shape=(2,), rng=0, **options)


def assert_one_vector(model: Sequential) -> None:
    """Check that the vector and the layers' parameters are the same memory."""
    parameters = model.parameters
    parameters.value = np.arange(float(parameters.size))
    parameters.grad = -np.arange(float(parameters.size))
    start = 0
    for parameter in parameters:
        place = slice(start, start + parameter.size)
        np.testing.assert_array_equal(parameter.value.ravel(), parameters.value[place], strict=True)
        np.testing.assert_array_equal(parameter.grad.ravel(), parameters.grad[place], strict=True)
        start += parameter.size
    weight = model.layers[0].weight
    weight.value = np.full((2, 3), 7.0)
    weight.grad[...] = 8.0
    assert (model.parameters.value[:6] == 7).all()
    assert (model.parameters.grad[:6] == 8).all()
    assert model.parameters.value.base is parameters.value.base


@pytest.mark.parametrize(
    "again",
    [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["built", "deepcopy", "pickle"],
)
def test_views_survive(again) -> None:
    model = make()
    held = model.layers[0].weight
    twin = again(model)
    np.testing.assert_array_equal(twin.parameters.value, model.parameters.value, strict=True)
    early = twin.layers[0].weight.value
    assert_one_vector(twin)
    assert (early == 7).all()
    if twin is not model:
        assert not (held.value == 7).any()


def test_copied_model_trains_independently() -> None:
    model = make()
    model.compile(optimizer=SGD(learning_rate=0.5, momentum=0.9), loss=MSELoss())
    x, y = np.ones((8, 2)), np.ones((8, 2))
    model.fit(x, y, epochs=2, verbose=0)
    twin = copy.deepcopy(model)
    before = model.parameters.value.copy()
    twin.fit(x, y, epochs=3, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, before, strict=True)
    model.fit(x, y, epochs=3, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, twin.parameters.value, strict=True)


def test_inner_model_is_a_slice_of_the_outer_vector() -> None:
    model = make()
    inner = model.layers[1]
    inner.parameters.value = np.zeros(inner.parameters.size)
    assert (model.parameters.value == 0).sum() >= 16
    assert inner.parameters.value.base is model.parameters.value.base


def test_built_model_keeps_its_values_when_nested() -> None:
    inner = Sequential([Dense(4), Sigmoid()], input_shape=(3,), rng=5)
    kept = inner.parameters.value.copy()
    model = Sequential([Dense(3), inner], input_shape=(2,), rng=0)
    np.testing.assert_array_equal(inner.parameters.value, kept, strict=True)
    assert inner.parameters.value.base is model.parameters.value.base


def test_nesting_moves_the_values_to_the_outer_vector() -> None:
    inner = Sequential([Dense(4), Sigmoid()], input_shape=(3,), rng=5)
    early, kept = inner.parameters.value, inner.parameters.value.copy()
    Sequential([inner, Dense(1)], input_shape=(3,), rng=0)
    early[:] = 0
    np.testing.assert_array_equal(inner.parameters.value, kept, strict=True)
    inner.parameters.value[:] = 0
    assert not inner.layers[0].weight.value.any()


def test_float32_model_casts_inner_models() -> None:
    model = make(dtype="float32")
    assert model.parameters.value.dtype == np.float32
    assert model.layers[1].dtype == np.float32
    assert model.forward(np.ones((3, 2))).dtype == np.float32
    assert model.backward(np.ones((3, 2), np.float32)).dtype == np.float32


def test_layer_built_in_another_dtype_is_refused() -> None:
    inner = Sequential([Dense(3)], input_shape=(3,), rng=0, dtype="float32")
    kept = inner.predict(np.ones((1, 3)))
    message = "was built in float32 by another model, and Sequential has"
    with pytest.raises(ValueError, match=message + " dtype float64"):
        Sequential([inner, Dense(1)], input_shape=(3,))
    with pytest.raises(ValueError, match=r"'dense_2\.weight' was built in float32"):
        Sequential([Dense(3, name="dense_2", weight=inner[0].weight)], input_shape=(3,))
    unbuilt = Sequential([Dense(3), inner[0]])
    with pytest.raises(ValueError, match=message):
        unbuilt.predict(np.ones((1, 3)))
    np.testing.assert_array_equal(inner.predict(np.ones((1, 3))), kept, strict=True)
    outer = Sequential([inner, Dense(1)], dtype="float32")
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert check_gradients(outer, x, np.ones((4, 1)), MSELoss())
    assert outer.predict(x).dtype == np.float32


def test_shared_gradients_add() -> None:
    first = Dense(3, use_bias=False)
    model = Sequential([first, Sigmoid()], input_shape=(3,), rng=0)
    shared_twice = Sequential(
        [*model.layers, Chain([Dense(3, weight=first.weight, use_bias=False), Sigmoid()])],
        input_shape=(3,),
        rng=0,
    )
    assert shared_twice.parameters.size == 9
    x = np.random.default_rng(0).normal(size=(5, 3))
    a = shared_twice.layers[1].forward(first.forward(x))
    shared_twice.forward(x)
    delta = np.ones((5, 3))
    shared_twice.backward(delta)
    uses = [first.weight, shared_twice.layers[2].layers[0].weight]
    assert all(use.value is uses[0].value for use in uses)
    assert np.abs(uses[0].grad - uses[1].grad).max() > 1e-3
    once = shared_twice.parameters.grad.copy()
    np.testing.assert_array_equal(once, (uses[1].grad + uses[0].grad).ravel(), strict=True)
    assert a.shape == (5, 3)
    shared_twice.backward(delta)
    np.testing.assert_array_equal(shared_twice.parameters.grad, once, strict=True)


def test_shared_parameter_survives_copies() -> None:
    first = Dense(3)
    Sequential([first], input_shape=(3,), rng=0)
    shared_twice = Sequential([first, Dense(3, weight=first.weight)], input_shape=(3,), rng=0)
    for twin in (copy.deepcopy(shared_twice), pickle.loads(pickle.dumps(shared_twice))):
        assert twin.layers[0].weight.source is twin.layers[1].weight.source
        assert twin.parameters.size == shared_twice.parameters.size


def test_assignment_checks_shapes() -> None:
    model = make()
    with pytest.raises(ValueError, match=r"'dense_1.weight' .*value .*\(2, 3\)"):
        model.layers[0].weight.value = np.ones(3)
    with pytest.raises(ValueError, match=r"'dense_1.weight' .*gradient .*got \(1, 3\)"):
        model.layers[0].weight.grad = np.ones((1, 3))
    with pytest.raises(ValueError, match=r"\(35,\), got \(3,\)"):
        model.parameters.value = np.ones(3)


def test_parameters_that_are_not_side_by_side_have_no_flat_value() -> None:
    shared = Dense(2)
    Sequential([shared], input_shape=(2,), rng=0)
    outer = Sequential(
        [shared, Dense(2), Chain([Dense(2, weight=shared.weight)])], input_shape=(2,), rng=0
    )
    with pytest.raises(ValueError, match="side by side"):
        _ = outer.layers[2].parameters.value
    assert outer.parameters.value.shape == (14,)


def test_optimizer_takes_a_list_of_parameters() -> None:
    a, b = Parameter(np.ones(2)), Parameter(np.zeros(1))
    a.grad = np.ones(2)
    SGD(learning_rate=0.5).step([a, b])
    np.testing.assert_array_equal(a.value, [0.5, 0.5])
    assert Parameters([a, b, a]).size == 3


@pytest.mark.parametrize("option", ["weight", "weight_initializer"])
def test_array_in_fortran_order(option: str) -> None:
    start = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    layer = Dense(2, **{option: Parameter(start) if option == "weight" else start})
    layer.build((3,), np.random.default_rng(0))
    x, delta = np.ones((4, 3)), np.ones((4, 2))
    layer.forward(x)
    layer.backward(delta)
    np.testing.assert_array_equal(layer.weight.value, start, strict=True)
    np.testing.assert_array_equal(layer.weight.grad, x.T @ delta, strict=True)


def test_trainable_runs_skip_frozen_parameters() -> None:
    a, b, c = (Parameter(np.full(n, float(n))) for n in (1, 2, 3))
    parameters = Parameters([a, b, c])
    assert [start for start, _, _ in parameters.trainable_runs()] == [0]
    b.trainable = False
    assert [(s, v.tolist()) for s, v, _ in parameters.trainable_runs()] == [
        (0, [1.0]),
        (3, [3.0, 3.0, 3.0]),
    ]


def test_split_returns_views_of_a_vector() -> None:
    weight, bias = Parameter(np.ones((2, 3))), Parameter(np.ones(2))
    vector = np.arange(8.0)
    parts = Parameters([weight, bias]).split(vector)
    np.testing.assert_array_equal(parts[weight], [[0, 1, 2], [3, 4, 5]])
    parts[bias][...] = 7
    np.testing.assert_array_equal(vector[6:], [7, 7])


def test_text_is_refused_as_value() -> None:
    with pytest.raises(TypeError, match="<U1"):
        Parameter(np.array(["a"]))


class TwoFactors(Layer):
    """Keeps its parameters in a list."""

    def build(self, input_shape, rng):
        self.factors = [Parameter(np.ones(input_shape)), Parameter(np.full(input_shape, 2.0))]
        return input_shape

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        return x * self.factors[0].value * self.factors[1].value

    def backward(self, delta):
        first, second = (f.value for f in self.factors)
        self.factors[0].grad = (delta * self.cache * second).sum(axis=0)
        self.factors[1].grad = (delta * self.cache * first).sum(axis=0)
        return delta * first * second


def test_parameters_in_a_list_are_found() -> None:
    model = Sequential([TwoFactors()], input_shape=(3,))
    assert model.parameters.size == 6
    assert [p.name for p in model.parameters] == [
        "two_factors_1.factors_0",
        "two_factors_1.factors_1",
    ]
    assert check_gradients(model, np.ones((2, 3)), np.zeros((2, 3)), MSELoss())


class TestNestedLater:
    """A model keeps its parameters when they move to an outer model's vector."""

    def test_flat_arrays_are_gathered_again(self) -> None:
        inner = make()
        parameters = inner.parameters
        value = parameters.value.copy()
        outer = Sequential([inner, Dense(1)], input_shape=(2,))
        np.testing.assert_array_equal(parameters.value, value, strict=True)
        x = np.ones((3, 2))
        loss = MSELoss()
        loss.forward(outer.forward(x), np.zeros((3, 1)))
        outer.backward(loss.backward())
        SGD(learning_rate=0.5).step(parameters)
        assert (inner.parameters.value != value).any()
        assert_one_vector(inner)

    def test_objective_still_works(self) -> None:
        inner = make()
        x, y = np.ones((3, 2)), np.zeros((3, 2))
        f = inner.objective(x, y, loss=MSELoss())
        theta = inner.parameters.value.copy()
        expected = f(theta), f(2 * theta)
        Sequential([inner, Dense(1)], input_shape=(2,))
        for found, wanted in zip((f(theta), f(2 * theta)), expected, strict=True):
            assert found[0] == wanted[0]
            np.testing.assert_array_equal(found[1], wanted[1], strict=True)

    @pytest.mark.parametrize("rows", [40, 150_000])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_while_training(self, rows: int, threads: int) -> None:
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 1))
        values = []
        for disturbed in (False, True):
            encoder = Sequential([Dense(4), Sigmoid()], input_shape=(3,), rng=0)
            one = Sequential([encoder, Dense(1)], input_shape=(3,), rng=1)
            two = Sequential([encoder, Dense(1)], input_shape=(3,), rng=2)
            for model in (one, two):
                model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=MSELoss())

            def disturb(epoch: int, logs: object) -> None:
                two.evaluate(x, y)  # noqa: B023
                one.best = copy.deepcopy(one)  # noqa: B023

            one.fit(
                x,
                y,
                epochs=3,
                batch_size=None,
                threads=threads,
                verbose=0,
                callbacks=[disturb] if disturbed else [],
            )
            values.append(np.concatenate([p.value.ravel() for p in one.parameters][:4]))
        np.testing.assert_array_equal(*values, strict=True)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["deepcopy", "pickle"]
)
def test_copies_of_parameters_and_objectives(again) -> None:
    model = make()
    parameters = again(model.parameters)
    parameters.value = np.ones(parameters.size)
    assert all((p.value == 1).all() for p in parameters)
    assert not (model.parameters.value == 1).all()
    f = model.objective(np.ones((3, 2)), np.zeros((3, 2)), loss=MSELoss())
    theta = model.parameters.value.copy()
    g = again(f)
    for point in (theta, 2 * theta):
        for ours, theirs in zip(f(point), g(point), strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)


class Gains(Layer):
    """Keeps its parameters in a dict, and a layer in another."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = {"dense": Dense(3)}

    def build(self, input_shape, rng):
        self.held = {"gain": Parameter(np.ones(input_shape)), 2: Parameter(np.zeros(input_shape))}
        return self.inner["dense"].build(input_shape, rng)

    def forward(self, x, *, training=True):
        if training:
            self.cache = x
        scaled = x * self.held["gain"].value + self.held[2].value
        return self.inner["dense"].forward(scaled, training=training)

    def backward(self, delta):
        delta = self.inner["dense"].backward(delta)
        self.held["gain"].grad = (delta * self.cache).sum(axis=0)
        self.held[2].grad = delta.sum(axis=0)
        return delta * self.held["gain"].value


def test_parameters_and_layers_in_a_dict_are_found() -> None:
    model = Sequential([Gains()], input_shape=(3,), rng=0)
    assert [path for path, _ in model.named_parameters()] == [
        "gains_1.held_gain",
        "gains_1.held_2",
        "gains_1.inner_dense.weight",
        "gains_1.inner_dense.bias",
    ]
    assert check_gradients(model, np.ones((2, 3)), np.zeros((2, 3)), MSELoss())
    model.layers[0].trainable = False
    assert not any(p.trainable for p in model.parameters)


def test_replica_of_a_layer_with_a_dict_has_its_own_gradients() -> None:
    layer = Sequential([Gains()], input_shape=(3,), rng=0).layers[0]
    twin = replica(layer)
    twin.forward(np.ones((2, 3)))
    twin.backward(np.ones((2, 3)))
    assert (twin.parameters.grad != 0).all()
    assert (layer.parameters.grad == 0).all()
    assert np.shares_memory(twin.held["gain"].value, layer.held["gain"].value)


class Deep(Gains):
    """Declares its parameters and children itself."""

    def own_parameters(self):
        return [("gain", self.held["gain"])]

    @property
    def children(self):
        return [Dense(1), Dense(1, name="named")]


def test_layer_may_override_its_parameters_and_children() -> None:
    layer = Deep()
    layer.build((3,), np.random.default_rng(0))
    assert [path for path, _ in layer.named_parameters()] == ["gain"]
    assert [path for path, _ in walk(layer)] == ["", "children_0", "named"]


BLOCKS = np.random.default_rng(0).normal(size=(150_000, 3))
"""More rows than a block holds."""


def test_threads_with_a_parameter_shared_by_an_inner_model() -> None:
    values = []
    for threads in (1, 2):
        first = Dense(3, "tanh")
        Sequential([first], input_shape=(3,), rng=0)
        inner = Sequential([Dense(3, "tanh", weight=first.weight), Dense(1)])
        model = Sequential([first, Dense(3, "tanh"), inner], input_shape=(3,), rng=0)
        model.compile(optimizer=SGD(learning_rate=0.3), loss=MSELoss())
        y = BLOCKS[:, 0]
        model.fit(BLOCKS, y, batch_size=None, epochs=3, threads=threads, verbose=0)
        values.append(model.parameters.value.copy())
    np.testing.assert_array_equal(*values, strict=True)


@pytest.mark.parametrize(
    "then",
    [
        lambda model, f: Sequential([model, Dense(1)], input_shape=(3,)),
        lambda model, f: None,
        lambda model, f: copy.deepcopy(f),
        lambda model, f: pickle.loads(pickle.dumps(f)),
    ],
    ids=["moved", "kept", "deepcopy", "pickle"],
)
def test_objective_in_blocks_survives_moves_and_copies(
    then, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIGRAD_THREADS", "2")
    model = Sequential([Dense(4, "tanh"), Dense(1)], input_shape=(3,), rng=0)
    f = model.objective(BLOCKS, BLOCKS[:, 0], loss=MSELoss())
    theta = model.parameters.value.copy()
    expected = f(theta), f(0 * theta)
    other = then(model, f)
    again = f if other is None or isinstance(other, Sequential) else other
    for found, wanted in zip((again(theta), again(0 * theta)), expected, strict=True):
        assert found[0] == wanted[0]
        np.testing.assert_array_equal(found[1], wanted[1], strict=True)


def test_parameters_that_move_between_small_and_large_batches() -> None:
    losses = []
    for disturbed in (False, True):
        encoder = Sequential([Dense(4), Sigmoid()], input_shape=(3,), rng=0)
        one = Sequential([encoder, Dense(1)], input_shape=(3,), rng=1)
        two = Sequential([encoder, Dense(1)], input_shape=(3,), rng=2)
        one.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
        y = BLOCKS[:, 0]
        callbacks = [lambda epoch, logs, two=two: two.parameters] if disturbed else []
        batches = [(BLOCKS[:50], y[:50]), (BLOCKS, y)]
        one.fit(batches, epochs=3, threads=2, verbose=0, callbacks=callbacks)
        losses.append(one.history["loss"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_step_changes_the_parameters_of_a_part_and_no_others(index: int) -> None:
    model = Sequential([Dense(3), Dense(2), Dense(4)], input_shape=(2,), rng=0)
    model.parameters.grad = np.ones(model.parameters.size)
    before = [p.value.copy() for p in model.parameters]
    SGD(learning_rate=1.0).step(model[index].parameters)
    own = {id(p) for p in model[index].parameters}
    for p, old in zip(model.parameters, before, strict=True):
        np.testing.assert_array_equal(p.value, old - 1.0 if id(p) in own else old)
