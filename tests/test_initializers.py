"""Initializers: distributions, shapes, and arrays that they refuse."""

import numpy as np
import pytest

from minigrad import (
    BatchNorm,
    Constant,
    Dense,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    Sequential,
)
from minigrad.initializers import initialize
from minigrad.saving.loading import Blank


def build(source, shape: tuple[int, int] = (2, 3), **options) -> np.ndarray:
    dense = Dense(shape[1], weight_initializer=source)
    Sequential([dense], input_shape=shape[:1], rng=0, **options)
    return dense.weight.value


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (GlorotUniform(), 2 / 500),
        (GlorotNormal(), 2 / 500),
        (HeUniform(), 2 / 300),
        (HeNormal(), 2 / 300),
        (LecunUniform(), 1 / 300),
        (LecunNormal(), 1 / 300),
    ],
    ids=repr,
)
def test_variance_follows_from_inputs_and_units(initializer, variance: float) -> None:
    weight = initializer((300, 200), np.random.default_rng(0))
    assert weight.var() == pytest.approx(variance, rel=0.02)
    assert abs(weight.mean()) < 0.05 * variance**0.5


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
def test_orthogonal_rows_or_columns(shape: tuple[int, int]) -> None:
    weight = Orthogonal(2.0)(shape, np.random.default_rng(0))
    product = weight.T @ weight if shape[0] >= shape[1] else weight @ weight.T
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-12)


@pytest.mark.parametrize(
    "source",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6).reshape(2, 3),
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        lambda shape, rng: np.arange(6.0).reshape(shape),
    ],
)
def test_arrays_and_functions_are_copied(source) -> None:
    weight = build(source)
    np.testing.assert_array_equal(weight, np.arange(6.0).reshape(2, 3), strict=True)
    assert not np.shares_memory(weight, source if isinstance(source, np.ndarray) else 0)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (np.full((2, 3), np.nan), ValueError, r"holds nan at index \(0, 0\)"),
        (np.full((2, 3), np.inf), ValueError, r"holds inf at index \(0, 0\)"),
        (np.ones((2, 3), complex), TypeError, "has dtype complex128; expected real numbers"),
        (np.ma.array(np.ones((2, 3)), mask=True), TypeError, "MaskedArray"),
        (np.full((2, 3), "1"), TypeError, "has dtype <U1; expected real numbers"),
        (None, TypeError, "has dtype object; expected real numbers"),
        ([[1.0, 2.0], [3.0]], ValueError, "is a list"),
        (Constant, TypeError, r"pass an object, Constant\(\)"),
    ],
)
def test_invalid_arrays_are_refused(source, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"weight_initializer .*{message}"):
        Dense(3, weight_initializer=source)
    if not isinstance(source, type):
        with pytest.raises(error, match=f"the weight of Dense 'dense_1' .*{message}"):
            build(lambda shape, rng: source)


def test_array_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"weight of Dense 'dense_1' .*\(2, 3\), got .*\(3, 2\)"):
        build(np.ones((3, 2)))


def test_a_blank_generator_gives_zeros() -> None:
    blank = Blank(100)
    state = blank.bit_generator.state
    for source in ("glorot_normal", np.ones((2, 3)), lambda shape, rng: rng.normal(size=shape)):
        zeros = initialize(source, (2, 3), blank, "weight")
        np.testing.assert_array_equal(zeros, np.zeros((2, 3)), strict=True)
    layer = BatchNorm()
    layer.build((3,), blank)
    assert not layer.gamma.value.any()
    assert not layer.running_variance.any()
    assert blank.bit_generator.state == state
