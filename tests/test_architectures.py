"""Custom architectures: branches and nesting, shared and frozen parameters, layers by name."""

import copy
import re

import numpy as np
import pytest

from helpers import says, through_pickle
from minigrad import (
    SGD,
    BatchNorm,
    Chain,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Layer,
    MSELoss,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
    load,
)
from minigrad.core.layer import build_once, walk
from minigrad.summary import summary

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))


def two_branches(**options) -> Sequential:
    left = Chain([Dense(4, name="in"), Tanh(), Dense(2, name="out")], name="left")
    right = Residual([Dense(3, "sigmoid"), Dense(3)], name="right")
    both = Parallel([left, right, Identity()], merge="concat", name="both")
    return Sequential([both, Dense(1, name="last")], input_shape=(3,), rng=0, **options)


def test_branches_compute_their_equations() -> None:
    f, g = Dense(3, "tanh"), Dense(3)
    for merge, expected in (
        ("add", lambda a, b: a + b),
        ("mean", lambda a, b: (a + b) / 2),
        ("concat", lambda a, b: np.concatenate([a, b], axis=-1)),
    ):
        layer = Parallel([copy.deepcopy(f), copy.deepcopy(g)], merge=merge)
        Sequential([layer], input_shape=(3,), rng=0)
        a, b = (branch.forward(X, training=False) for branch in layer.layers)
        np.testing.assert_array_equal(layer.forward(X), expected(a, b), strict=True)
    layer = Residual(f)
    Sequential([layer], input_shape=(3,), rng=0)
    np.testing.assert_array_equal(layer.forward(X), X + f.forward(X), strict=True)


def test_nesting_has_exact_gradients() -> None:
    inner = Parallel([Dense(2), Residual([Dense(2), Tanh(), Dense(3)])], merge="concat")
    deep = Residual([inner, Parallel([Dense(3), [Dense(2), Sigmoid(), Dense(3)]], merge="mean")])
    model = Sequential([deep, Residual(nested_chain()), Dense(2)], input_shape=(3,), rng=0)
    assert check_gradients(model, X, np.ones((6, 2)), MSELoss())


def nested_chain() -> Chain:
    return Chain([Chain([Dense(4), Residual(Residual(Dense(4)))]), Dense(3)])


def test_list_of_layers_becomes_a_chain() -> None:
    listed = Sequential([Residual([Dense(3), Tanh()])], input_shape=(3,), rng=0)
    chained = Sequential([Residual(Chain([Dense(3), Tanh()]))], input_shape=(3,), rng=0)
    np.testing.assert_array_equal(listed.predict(X), chained.predict(X), strict=True)
    assert repr(listed) == repr(chained)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Sequential([Residual(Dense(2))], input_shape=(3,)),
            ValueError,
            "Residual 'residual_1' expects Dense 'dense_1' to keep the shape (3,), got (2,)",
        ),
        (
            lambda: Sequential([Parallel([Dense(2), Dense(1)])], input_shape=(3,)),
            ValueError,
            "Parallel 'parallel_1' with merge='add' expects branches with equal output shapes, "
            "got (2,) of Dense 'dense_1', (1,) of Dense 'dense_2'",
        ),
        (
            lambda: Sequential(
                [Parallel([Flatten(), Reshape((3, 1))], merge="concat")], input_shape=(3,)
            ),
            ValueError,
            "except for the last axis, got (3,) of Flatten 'flatten_1', (3, 1) of",
        ),
        (
            lambda: Parallel([Dense(2)], merge="sum"),
            ValueError,
            "Parallel expects merge='add', 'mean' or 'concat', got 'sum'",
        ),
        (lambda: Parallel([]), ValueError, "Parallel needs at least one layer"),
        (lambda: Parallel([Dense(1), 3]), TypeError, "expects a Layer as layers[1], got 3"),
        (lambda: Residual(Dense), TypeError, ": pass an object, Dense(...)"),
        (lambda: Residual([]), ValueError, "Chain needs at least one layer"),
        (
            lambda: Sequential([Reshape((4,))], input_shape=(2, 3)),
            ValueError,
            "Reshape 'reshape_1' can't reshape rows of 6 numbers, (2, 3), to (4,)",
        ),
        (lambda: Reshape((-1, -1)), ValueError, "at most one -1, got (-1, -1)"),
        (lambda: Reshape((0, 3)), ValueError, "expects lengths of at least 1"),
    ],
)
def test_shapes_and_options_that_do_not_fit_are_refused(
    make, error: type[Exception], message: str
) -> None:
    with says(error, message):
        make()


@pytest.mark.parametrize("layer", [Reshape((6,)), Flatten()])
def test_reshaping_layer_refuses_other_shapes_of_the_same_size(layer) -> None:
    Sequential([layer], input_shape=(2, 3), rng=0)
    with says(ValueError, f"{layer.label} expects input of shape (batch, 2, 3), got (4, 3, 2)"):
        layer.forward(np.zeros((4, 3, 2)))


def test_one_layer_in_two_branches_is_refused() -> None:
    layer = Dense(3)
    with says(ValueError, "Dense 'dense_1' is twice in Parallel"):
        Parallel([layer, [layer]])
    with says(ValueError, "weight=first.weight"):
        Sequential([Residual(layer), layer])


def shared(container) -> Sequential:
    """A model whose first layer shares its weight with two layers in a `container`."""
    first = Dense(3, use_bias=False, name="first")
    Sequential([first], input_shape=(3,), rng=1)
    again = [Dense(3, weight=first.weight, use_bias=False, name=f"again_{i}") for i in range(2)]
    return Sequential([first, Tanh(), container(again)], input_shape=(3,), rng=1)


CONTAINERS = {
    "chain": lambda layers: Chain([layers[0], Tanh(), layers[1]]),
    "residual": lambda layers: Residual([layers[0], Residual([Tanh(), layers[1]])]),
    "add": lambda layers: Parallel([layers[0], [Tanh(), layers[1]]]),
    "mean": lambda layers: Parallel([layers[0], layers[1]], merge="mean"),
    "concat": lambda layers: Parallel([Identity(), *layers], merge="concat"),
    "nested": lambda layers: Residual([Parallel([layers[0], Chain([Sequential([layers[1]])])])]),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_gradients_of_a_shared_parameter_add_up(name: str) -> None:
    model = shared(CONTAINERS[name])
    assert model.parameters.size == 9
    target = np.ones((6, *model.output_shape))
    assert check_gradients(model, X, target, MSELoss())
    for twin in (copy.deepcopy(model), through_pickle(model)):
        assert twin.parameters.size == 9
        assert check_gradients(twin, X, target, MSELoss())
        np.testing.assert_array_equal(twin.predict(X), model.predict(X), strict=True)


def test_backward_twice_gives_the_same_sum() -> None:
    for name in CONTAINERS:
        inner = shared(CONTAINERS[name])
        model = Sequential([Sequential([inner, Tanh()]), Dense(1)], input_shape=(3,), rng=0)
        delta = np.cos(model.forward(X))
        model.backward(delta)
        once = model.parameters.grad.copy()
        model.backward(delta)
        np.testing.assert_array_equal(model.parameters.grad, once, strict=True)
        model.backward_parameters(delta)
        np.testing.assert_array_equal(model.parameters.grad, once, strict=True)
        assert check_gradients(model, X, np.ones((6, 1)), MSELoss()), name


@pytest.mark.parametrize("again", [copy.deepcopy, through_pickle])
def test_copied_model_with_shared_parameters_trains_in_the_same_bits(again) -> None:
    for name in CONTAINERS:
        model = shared(CONTAINERS[name])
        model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss="mse")
        y = np.ones((6, *model.output_shape))
        model.fit(X, y, epochs=2, verbose=0)
        twin = again(model)
        for each in (model, twin):
            each.fit(X, y, epochs=2, verbose=0)
        assert twin.parameters.size == 9
        np.testing.assert_array_equal(twin.parameters.value, model.parameters.value, strict=True)


def test_error_in_backward_does_not_spoil_the_next_gradient() -> None:
    model = shared(CONTAINERS["add"])
    delta = np.cos(model.forward(X))
    model.backward(delta)
    expected = model.parameters.grad.copy()
    tanh = model[1]
    for broken, message in ((tanh, "tanh_1"), (model["parallel_1.chain_1.tanh_1"], "tanh_1")):
        model.forward(X)
        kept, broken.cache = broken.cache, np.ones((1, 1))
        with says(ValueError, message):
            model.backward(delta)
        broken.cache = kept
        model.backward(delta)
        np.testing.assert_array_equal(model.parameters.grad, expected, strict=True)


def test_freezing_only_stops_the_update() -> None:
    free, frozen = two_branches(), two_branches()
    frozen["both.right"].trainable = False
    optimizer = SGD(learning_rate=0.1, momentum=0.9, weight_decay=0.1)
    for model in (free, frozen):
        np.testing.assert_array_equal(model.forward(X), free.forward(X), strict=True)
        back = model.backward(np.ones((6, 1)))
        np.testing.assert_array_equal(back, free.backward(np.ones((6, 1))), strict=True)
    np.testing.assert_array_equal(frozen.parameters.grad, free.parameters.grad, strict=True)
    before = {path: p.value.copy() for path, p in frozen.named_parameters()}
    for _ in range(3):
        optimizer.step(frozen.parameters)
    for path, parameter in frozen.named_parameters():
        moved = bool((parameter.value != before[path]).any())
        assert moved is not path.startswith("both.right"), path
    frozen["both.right"].trainable = True
    optimizer.step(frozen.parameters)
    for path, parameter in frozen.named_parameters():
        assert (parameter.value != before[path]).any(), path


def test_fit_does_not_change_a_frozen_layer() -> None:
    model = two_branches()
    model["last"].trainable = False
    before = {path: p.value.copy() for path, p in model.named_parameters()}
    model.compile(optimizer="adam", loss="mse")
    model.fit(X, X.sum(axis=1), epochs=2, verbose=0)
    for path, parameter in model.named_parameters():
        assert (parameter.value != before[path]).any() != path.startswith("last"), path


@pytest.mark.parametrize("ahead", [True, False])
def test_freezing_a_container_freezes_its_layers(ahead: bool) -> None:
    model = Sequential([Chain([Dense(2), Residual(Dense(2))]), Dense(1)], rng=0)
    if not ahead:
        model.build_for((3,))
    model.trainable = False
    assert not any(layer.trainable for _, layer in walk(model))
    model["chain_1.residual_1"].trainable = True
    if ahead:
        model.build_for((3,))
    free = [path for path, parameter in model.named_parameters() if parameter.trainable]
    assert free == [f"chain_1.residual_1.dense_1.{p}" for p in ("weight", "bias")]


def test_copies_stay_frozen() -> None:
    model = two_branches()
    model["both.left"].trainable = False
    for twin in (copy.deepcopy(model), through_pickle(model)):
        assert [p.trainable for p in twin.parameters] == [p.trainable for p in model.parameters]
        assert not twin["both.left.in"].trainable


def test_shared_parameter_is_frozen_in_all_layers() -> None:
    model = shared(CONTAINERS["add"])
    model["first"].trainable = False
    before = model.parameters.value.copy()
    model.forward(X)
    model.backward(np.ones((6, 3)))
    SGD(learning_rate=1.0).step(model.parameters)
    np.testing.assert_array_equal(model.parameters.value, before, strict=True)


class Sum(Layer):
    """The sum of its layers' outputs; it doesn't name the layers."""

    def __init__(self, first, others, *, name="") -> None:
        super().__init__(name=name)
        self.first, self.others = first, others

    def build(self, input_shape, rng):
        for layer in self.others:
            build_once(layer, input_shape, rng)
        return build_once(self.first, input_shape, rng)

    def forward(self, x, *, training=True):
        return sum(layer.forward(x, training=training) for layer in (self.first, *self.others))

    def backward(self, delta):
        return sum(layer.backward(delta) for layer in (self.first, *self.others))


def test_unnamed_layers_are_named_by_their_attributes(tmp_path) -> None:
    layer = Sum(Dense(2), [Chain([Dense(2)]), Dense(2, name="last")])
    model = Sequential([layer, Dense(1)], input_shape=(3,), rng=0)
    paths = ["sum_1.first", "sum_1.others_0.dense_1", "sum_1.last", "dense_1"]
    assert [p for p, _ in model.named_parameters()] == [
        f"{path}.{name}" for path in paths for name in ("weight", "bias")
    ]
    assert set(paths) <= model.activations(X).keys()
    assert model["sum_1.first"] is layer.first
    assert check_gradients(model, X, np.ones((6, 1)), MSELoss())
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", custom_objects={"Sum": Sum})
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X), strict=True)


def test_attribute_that_refers_to_a_layer_does_not_add_it_again(tmp_path) -> None:
    model = two_branches()
    paths = [path for path, _ in walk(model)]
    table = summary(model)
    model.encoder, model.deep = model.layers[0], model["both.left.in"]
    model.teacher = Sequential([Dense(2)], input_shape=(3,))
    assert model.children == list(model.layers)
    assert [path for path, _ in walk(model)] == paths
    assert summary(model) == table
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X), strict=True)


def test_built_layer_keeps_its_name() -> None:
    one = Sequential([Dense(3)], input_shape=(3,), rng=0)
    two = Sequential([Dense(3), Dense(1)], input_shape=(3,), rng=0)
    three = Sequential([Dense(3), two[0], Tanh(), Dense(3)], input_shape=(3,), rng=0)
    assert [layer.name for layer in three] == ["dense_2", "dense_1", "tanh_1", "dense_3"]
    with says(ValueError, "two layers of Sequential are named 'dense_1'", "both are built"):
        Sequential([one[0], two[0]])
    assert [layer.name for layer in two] == ["dense_1", "dense_2"]
    assert list(two.activations(X)) == ["dense_1", "dense_2"]
    one[0].name = "other"
    assert [layer.name for layer in Sequential([one[0], two[0]])] == ["other", "dense_1"]


def test_layers_may_be_added_before_the_build(tmp_path) -> None:
    model = Sequential([Dense(4)], rng=0)
    both = Parallel([Dense(2)])
    both.layers.append(Dense(2))
    model.layers += [Dense(4), both]
    model.layers.append(Tanh())
    model.predict(X)
    assert [layer.name for layer in model] == ["dense_1", "dense_2", "parallel_1", "tanh_1"]
    assert [layer.name for layer in both.layers] == ["dense_1", "dense_2"]
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X), strict=True)


@pytest.mark.parametrize(
    ("add", "error", "message"),
    [
        (lambda m: m[0], ValueError, "Dense 'dense_1' is twice in"),
        (lambda m: Dense(3, name="last"), ValueError, "are named 'last'"),
        (lambda m: Tanh, TypeError, "Sequential expects a Layer as layers[2], got <class"),
    ],
)
def test_added_layers_are_checked(add, error: type[Exception], message: str) -> None:
    model = Sequential([Dense(3), Dense(3, name="last")], rng=0)
    model.layers.append(add(model))
    with says(error, message):
        model.predict(X)


CHANGES = {
    "append": lambda layers: layers.append(Tanh()),
    "extend": lambda layers: layers.extend([Tanh()]),
    "insert": lambda layers: layers.insert(0, Tanh()),
    "delete": lambda layers: layers.__delitem__(0),
    "pop": lambda layers: layers.pop(),
    "replace": lambda layers: layers.__setitem__(slice(1), [Tanh()]),
    "reverse": lambda layers: layers.reverse(),
    "sort": lambda layers: layers.sort(key=repr),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("again", [lambda model: model, copy.deepcopy, through_pickle])
def test_layers_of_a_built_model_cannot_be_changed(change: str, again) -> None:
    model = again(two_branches())
    for layers in (model.layers, model["both"].layers, model["both.left"].layers):
        kept = list(layers)
        with says(
            TypeError,
            "of a built model can't be changed: make a new one, Sequential([*model.layers,",
        ):
            CHANGES[change](layers)
        assert layers == kept
    with says(TypeError, "built model"):
        model.layers += [Tanh()]


def test_new_layers_on_the_layers_of_a_built_model() -> None:
    model = two_branches()
    longer = Sequential([*model.layers, Tanh(), Dense(2)])
    np.testing.assert_array_equal(longer[:2].predict(X), model.predict(X), strict=True)
    assert longer.predict(X).shape == (6, 2)


def test_layers_by_index_and_name() -> None:
    model = two_branches()
    assert len(model) == 2
    assert list(model) == model.layers
    assert model[0] is model["both"] is model[-2]
    assert model["both.left.out"] is model["both"].layers[0]["out"]
    assert model["both.right.chain_1.dense_2"].units == 3
    with says(KeyError, "Sequential has no layer 'lats': did you mean 'last'?"):
        model["lats"]
    with says(KeyError, "did you mean 'both.left.out'?"):
        model["both.left.oot"]
    with says(IndexError, "Sequential has 2 layers, got index 2"):
        model[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slice_is_a_model_of_the_same_layers(dtype: str) -> None:
    layers = [Dense(4), BatchNorm(), Dropout(0.5), Dense(2), Tanh()]
    model = Sequential(layers, input_shape=(3,), rng=0, dtype=dtype)
    x = X.astype(dtype)
    model.forward(x)
    value = model.parameters.value.copy()
    first, rest = model[:3], model[3:]
    assert type(first) is type(rest) is Sequential
    assert first.layers + rest.layers == model.layers
    np.testing.assert_array_equal(rest.predict(first.predict(x)), model.predict(x), strict=True)
    assert np.shares_memory(first.parameters.value, model.parameters.value)
    np.testing.assert_array_equal(model.parameters.value, value, strict=True)
    first[0].bias.value = np.ones(4)
    np.testing.assert_array_equal(rest.predict(first.predict(x)), model.predict(x), strict=True)
    assert [p.name for p in model.parameters][:2] == ["dense_1.weight", "dense_1.bias"]
    with says(ValueError, "Sequential needs at least one layer"):
        model[5:]


class Net(Sequential):
    def __init__(self, width, depth=1) -> None:
        super().__init__([*(Dense(width) for _ in range(depth)), Dense(1)], input_shape=(3,), rng=0)
        self.width, self.depth = width, depth


class Forgetful(Sequential):
    def __init__(self, width) -> None:
        super().__init__([Dense(width), Dense(1)], input_shape=(3,), rng=0)


class Wide(Chain):
    def __init__(self, width) -> None:
        super().__init__([Dense(width), Dense(1)])


class Named(Sequential):
    """Has the arguments of Sequential."""


def test_slice_of_a_subclass_is_a_sequential() -> None:
    net = Net(4, depth=2)
    assert type(net[:1]) is type(Forgetful(4)[:1]) is Sequential
    np.testing.assert_array_equal(net[1:].predict(net[:1].predict(X)), net.predict(X), strict=True)
    assert type(Wide(4)[:1]) is Chain
    assert type(Named([Dense(1)], rng=0)[:1]) is Sequential


def test_repr_of_a_subclass_with_its_own_arguments() -> None:
    assert repr(Net(4, depth=2)) == "Net(width=4, depth=2)"
    assert repr(Forgetful(4)) == "<Forgetful>"
    assert repr(Named([Dense(1)])) == "Named([Dense(1)])"


def test_slice_of_an_unbuilt_model() -> None:
    model = Sequential([Dense(4), Tanh(), Dense(1)], rng=0)
    assert model[:2].predict(X).shape == (6, 4)
    np.testing.assert_array_equal(model.predict(X), model[2].forward(model[:2].predict(X)))
    assert model.parameters.value.size == 21


def test_activations_returns_each_output_by_path() -> None:
    model = two_branches(dtype="float32")
    model.forward(X)
    seen = model.activations(X)
    assert list(seen) == [
        "both.left.in", "both.left.tanh_1", "both.left.out", "both.left",
        "both.right.chain_1.dense_1.sigmoid", "both.right.chain_1.dense_1",
        "both.right.chain_1.dense_2", "both.right.chain_1", "both.right", "both.identity_1",
        "both", "last",
    ]  # fmt: skip
    np.testing.assert_array_equal(seen["last"], model.predict(X), strict=True)
    np.testing.assert_array_equal(seen["both.left"], seen["both.left.out"], strict=True)
    np.testing.assert_array_equal(seen["both"][:, 2:5], seen["both.right"], strict=True)
    assert {a.dtype for a in seen.values()} == {np.dtype("float32")}
    with says(ValueError, "x holds nan at index (0, 0)"):
        model.activations(np.full((2, 3), np.nan))
    with says(ValueError, "expects input of shape (batch, 3), got (6, 2)"):
        model.activations(X[:, :2])


def test_activations_does_not_change_the_model() -> None:
    layers = [Dense(4), BatchNorm(), Dropout(0.5), ReLU()]
    model = Sequential(layers, input_shape=(3,), rng=0)
    output = model.forward(X)
    running = model[1].running_mean
    state = str(model.rng.bit_generator.state)
    seen = model.activations(X[:2])
    np.testing.assert_array_equal(seen["dropout_1"], seen["batch_norm_1"], strict=True)
    assert model[1].running_mean is running
    assert str(model.rng.bit_generator.state) == state
    model.backward(np.ones(output.shape))


def test_branched_model_trains() -> None:
    x = np.random.default_rng(1).uniform(-1, 1, size=(200, 2))
    y = x[:, 0] * x[:, 1]
    block = Residual([Dense(16), Tanh(), Dense(16)])
    ways = Parallel([[Dense(16), Tanh(), block], Dense(16)], merge="mean")
    model = Sequential([ways, BatchNorm(), Tanh(), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer="adam", loss="mse")
    history = model.fit(x, y, epochs=60, batch_size=20, verbose=0)
    assert history["loss"][-1] < 0.02 < 0.1 < history["loss"][0]


class Squeeze(Layer):
    """Returns shape (n,) although it declares (n, features)."""

    def forward(self, x, *, training=True):
        if training:
            self.cache = x.shape
        return x[:, 0]

    def backward(self, delta):
        return np.zeros(self.cache)


@pytest.mark.parametrize(
    ("around", "message"),
    [
        (lambda inner: Residual(inner), "(4,) for 4 rows"),
        (lambda inner: Parallel([Identity(), inner]), "(4,) for 4 rows"),
        (lambda inner: inner, "(4,) for 4 rows"),
    ],
    ids=["residual", "parallel", "loss"],
)
def test_output_that_differs_from_the_declared_shape_is_refused(around, message: str) -> None:
    model = Sequential([Dense(1), around(Squeeze())], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(np.ones((4, 2)), np.ones((4, 1)))


def test_parameter_shared_after_the_build_trains() -> None:
    model = Sequential([Dense(3), Tanh(), Dense(3), Dense(1)], input_shape=(3,), rng=0)
    model[2].weight = model[0].weight
    expected = Sequential([Dense(3), Tanh()], input_shape=(3,), rng=0)
    expected = Sequential(
        [*expected.layers, Dense(3, weight=expected[0].weight), Dense(1)], input_shape=(3,), rng=0
    )
    for path, parameter in model.named_parameters():
        attribute = path.rpartition(".")[2]
        getattr(expected[path.rpartition(".")[0]], attribute).value = parameter.value
    x, y = np.random.default_rng(0).normal(size=(2, 8, 3))
    for each in (model, expected):
        each.compile(optimizer=SGD(learning_rate=0.1), loss="mse")
        each.fit(x, y[:, 0], epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, expected.parameters.value, strict=True)

    part = model[1:]
    part.compile(optimizer=SGD(learning_rate=0.1, momentum=0.5), loss="mse")
    before = model.predict(x)
    part.fit(x, y[:, 0], verbose=0)
    assert (model.predict(x) != before).all()
    assert model.parameters.size == expected.parameters.size


def test_parameter_shared_after_the_build_by_hand() -> None:
    model = Sequential([Dense(3), Tanh(), Dense(3)], input_shape=(3,), rng=0)
    model[2].weight = model[0].weight
    parameters = model.parameters
    x, delta = np.random.default_rng(0).normal(size=(2, 5, 3))
    model.forward(x)
    model.backward(delta)
    hidden = np.tanh(x @ model[0].weight.value)
    below = delta @ model[0].weight.value.T * (1 - hidden**2)
    total = model.parameters[0].grad
    np.testing.assert_allclose(total, x.T @ below + hidden.T @ delta, rtol=1e-12)
    assert parameters.size == 9 + 3 + 3


class Pair(Layer):
    """The sum of two layers' outputs."""

    def __init__(self, a: Layer, b: Layer, name: str = "") -> None:
        super().__init__(name=name)
        self.a, self.b = a, b

    def build(self, input_shape, rng):
        build_once(self.b, input_shape, rng)
        return build_once(self.a, input_shape, rng)

    def forward(self, x, *, training=True):
        return self.a.forward(x, training=training) + self.b.forward(x, training=training)

    def backward(self, delta):
        return self.a.backward(delta) + self.b.backward(delta)


@pytest.mark.parametrize("names", [("", "a"), ("q", "q")])
def test_two_layers_of_one_path_are_refused_before_training(names) -> None:
    one, other = (Dense(4, name=name) for name in names)
    with says(
        ValueError, f"two layers of Sequential have the path 'pair_1.{names[1]}': give each its own"
    ):
        Sequential([Pair(one, other)], input_shape=(3,))


def test_copies_of_one_built_layer_get_different_names() -> None:
    model = Sequential([Dense(3)], input_shape=(3,), rng=0)
    clones = Sequential([copy.deepcopy(model[0]) for _ in range(3)], input_shape=(3,))
    assert [layer.name for layer in clones] == ["dense_1", "dense_2", "dense_3"]
    assert model[0].name == "dense_1"


def test_numpy_integers_as_output_shape() -> None:
    class Flat(Flatten):
        def build(self, input_shape, rng):
            return (np.prod(input_shape),)

    model = Sequential([Flat(), Dense(1)], input_shape=(2, 3))
    assert model[0].output_shape == (6,)
    assert type(model[0].output_shape[0]) is int


def test_parameter_that_is_no_longer_shared_has_its_own_gradient() -> None:
    model = Sequential([Dense(3), Tanh(), Dense(3)], input_shape=(3,), rng=0)
    own = model[2].weight
    model[2].weight = model[0].weight
    assert model.parameters.size == 9 + 3 + 3
    model[2].weight = own
    assert model.parameters.size == 2 * (9 + 3)
    x, delta = np.random.default_rng(0).normal(size=(2, 5, 3))
    expected = Sequential([Dense(3), Tanh(), Dense(3)], input_shape=(3,), rng=1)
    expected.parameters.value = model.parameters.value
    for each in (model, expected):
        for _ in range(2):
            each.forward(x)
            each.backward(delta)
    np.testing.assert_array_equal(model.parameters.grad, expected.parameters.grad, strict=True)
