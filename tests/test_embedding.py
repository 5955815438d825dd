"""Embedding and positions: ids, gradients, sharing, lengths, and errors."""

import numpy as np
import pytest

from helpers import says
from minigrad import (
    L2,
    Chain,
    Dense,
    Embedding,
    Flatten,
    MSELoss,
    Parallel,
    Parameter,
    PositionEmbedding,
    Sequential,
    SinusoidalPositions,
    check_gradients,
    check_layer,
)

IDS = np.array([[3, 0, 3], [1, 3, 0]])


def built(layer, shape=(3,), **options):
    return Sequential([layer], input_shape=shape, rng=0, **options)[0]


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (2, 1, 3)])
def test_rows_of_any_rank(shape) -> None:
    layer = built(Embedding(5, 2), shape)
    ids = np.random.default_rng(0).integers(5, size=(4, *shape))
    output = layer.forward(ids)
    assert layer.output_shape == (*shape, 2)
    for index in np.ndindex(ids.shape):
        np.testing.assert_array_equal(output[index], layer.weight.value[ids[index]])
    delta = np.random.default_rng(1).normal(size=output.shape)
    back = layer.backward(delta)
    np.testing.assert_array_equal(back, np.zeros(ids.shape), strict=True)
    for i in range(5):
        np.testing.assert_allclose(layer.weight.grad[i], delta[ids == i].sum(axis=0), atol=1e-14)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "float32", "bool"])
def test_ids_of_any_dtype(dtype: str) -> None:
    layer = built(Embedding(4, 2))
    ids = (IDS % 2).astype(dtype)
    cast = layer.cast(ids, np.dtype("float32"))
    np.testing.assert_array_equal(cast, (IDS % 2).astype(np.intp), strict=True)
    np.testing.assert_array_equal(layer.forward(ids), layer.weight.value[IDS % 2], strict=True)


def test_integers_are_not_copied() -> None:
    ids = IDS.astype(np.intp)
    assert built(Embedding(4, 2)).cast(ids, np.dtype("float64")) is ids


def test_initial_weights() -> None:
    weight = built(Embedding(1000, 8)).weight.value
    assert 0.049 < np.abs(weight).max() < 0.05
    weight = built(PositionEmbedding(), (500, 8)).weight.value
    assert weight.std() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([[0, 1, 4]], "4 at index (0, 2)"),
        ([[0, 1, 2], [3, -1, 0]], "-1 at index (1, 1)"),
        ([[0.0, 1.5, 2.0]], "1.5 at index (0, 1)"),
        ([[0.0, np.nan, 2.0]], "nan at index (0, 1)"),
        ([[0.0, 1.0, np.inf]], "inf at index (0, 2)"),
        ([[0.0, 1.0, -1.0]], "-1.0 at index (0, 2)"),
    ],
)
def test_ids_that_are_refused(ids, found: str) -> None:
    layer = built(Embedding(4, 2, name="words"))
    for use in (layer.forward, lambda x: layer.cast(x, np.dtype("float64"))):
        with says(ValueError, "Embedding 'words'", "from 0 to 3", found):
            use(np.array(ids))


def test_ids_of_another_shape() -> None:
    layer = built(Embedding(4, 2, name="words"))
    with says(ValueError, "Embedding 'words'", "(batch, 3)", "(2, 2)"):
        layer.forward(IDS[:, :2])


def test_a_length_that_varies() -> None:
    layer = Embedding(4, 2)
    assert layer.build((None,), np.random.default_rng(0)) == (None, 2)
    assert layer.forward(IDS[:, :2]).shape == (2, 2, 2)
    assert layer.forward(IDS).shape == (2, 3, 2)


def test_a_shared_weight_gets_the_gradients_of_both_uses() -> None:
    weight = Parameter(np.arange(8.0).reshape(4, 2))
    one, two = (Chain([Embedding(4, 2, weight=weight), Flatten()]) for _ in range(2))
    model = Sequential([Parallel([one, two])], input_shape=(3,), rng=0)
    alone = built(Embedding(4, 2, weight_initializer=weight.value))
    output = model.forward(IDS)
    np.testing.assert_array_equal(output, 2 * alone.forward(IDS).reshape(2, 6))
    model.backward(np.ones_like(output))
    alone.backward(np.ones((2, 3, 2)))
    np.testing.assert_array_equal(model.parameters.grad, 2 * alone.weight.grad.ravel())


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"weight": np.ones((4, 2))}, ("weight_initializer",)),
        ({"weight": Parameter(np.ones((4, 2))), "weight_regularizer": L2(0.1)}, ("regularizer",)),
        ({"weight": Parameter(np.ones((2, 4)))}, ("(4, 2)", "(2, 4)")),
        ({"weight_initializer": np.ones((2, 4))}, ("(4, 2)", "(2, 4)")),
        ({"weight_initializer": "nothing"}, ("weight_initializer", "nothing")),
    ],
)
def test_weights_that_are_refused(options, parts) -> None:
    with says((TypeError, ValueError), *parts):
        built(Embedding(4, 2, **options))


@pytest.mark.parametrize("sizes", [(0, 2), (4, 0), (4, 1.5)])
def test_sizes_that_are_refused(sizes) -> None:
    with says(ValueError, "Embedding expects a whole number"):
        Embedding(*sizes)


def test_checks_of_a_network_that_takes_ids() -> None:
    layers = [Embedding(4, 2), PositionEmbedding(), Flatten(), Dense(1)]
    assert check_layer(Chain(layers), (3,))
    model = Sequential([Embedding(4, 2), Flatten(), Dense(1)], input_shape=(3,), rng=0)
    report = check_gradients(model, IDS, np.ones(2), MSELoss())
    assert report.passed
    assert [c.path for c in report.comparisons] == [
        "embedding_1.weight",
        "dense_1.weight",
        "dense_1.bias",
    ]


def test_check_gradients_leaves_the_data_alone() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2))
    x.flags.writeable = False
    assert check_gradients(Sequential([Dense(2)], input_shape=(2,), rng=0), x, x, MSELoss())


def test_check_finds_a_wrong_gradient_of_an_embedding() -> None:
    class Wrong(Embedding):
        def backward_parameters(self, delta):
            self.weight.grad[...] = 0
            self.weight.grad[self.cache] += delta  # keeps one of equal ids

    report = check_layer(Wrong(3, 2), (4,))
    assert list(report.broken) == ["backward returns the exact derivatives of forward"]


@pytest.mark.parametrize("layer", [PositionEmbedding(name="place"), SinusoidalPositions()])
@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (3, None)])
def test_positions_refuse_other_rows(layer, shape) -> None:
    with says(ValueError, layer.label, "(batch, positions, features)", str(shape)):
        layer.build(shape, np.random.default_rng(0))


def test_learned_positions_need_a_fixed_length() -> None:
    with says(ValueError, "PositionEmbedding 'place'", "(None, 4)", "SinusoidalPositions"):
        PositionEmbedding(name="place").build((None, 4), np.random.default_rng(0))
    layer = built(PositionEmbedding(), (3, 2))
    with says(ValueError, "(batch, 3, 2)", "(1, 2, 2)"):
        layer.forward(np.ones((1, 2, 2)))


def test_sinusoids_of_a_length_that_varies() -> None:
    layer = SinusoidalPositions()
    layer.build((None, 6), np.random.default_rng(0))
    x = np.random.default_rng(0).normal(size=(2, 50, 6)).astype(np.float32)
    long = layer.forward(x)
    assert long.dtype == np.float32
    np.testing.assert_array_equal(layer.forward(x[:, :7]), long[:, :7])
    angle = 49 / 10000 ** (2 / 6)
    np.testing.assert_allclose(
        long[0, 49, 2:4] - x[0, 49, 2:4], [np.sin(angle), np.cos(angle)], 1e-5
    )


@pytest.mark.parametrize("input_dim", [5, 50])
def test_the_gradient_of_an_id_is_the_sum_over_its_places(input_dim: int) -> None:
    layer = Embedding(input_dim, 2)
    layer.build((3,), np.random.default_rng(0))
    ids = np.array([[4, 1, 4], [0, 4, 1], [3, 2, 0]])
    delta = np.arange(18.0).reshape(3, 3, 2)
    expected = np.array([delta[ids == i].sum(axis=0) for i in range(input_dim)])
    layer.forward(ids)
    layer.backward_parameters(delta)
    np.testing.assert_array_equal(layer.weight.grad, expected)
