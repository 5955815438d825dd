"""Pooling and upsampling: ties, padding, lengths that vary, bad input."""

import numpy as np
import pytest

from helpers import says
from minigrad import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
    Sequential,
    UpSampling2D,
)


def built(layer, *input_shape, dtype="float64"):
    return Sequential([layer], input_shape=input_shape, rng=0, dtype=dtype)


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (MaxPooling2D(), (4, 4, 2)),
        (MaxPooling2D(3, strides=1, padding="same"), (4, 5, 1)),
        (MaxPooling1D(3, strides=2, padding=1), (5, 2)),
        (GlobalMaxPooling1D(), (5, 2)),
        (GlobalMaxPooling2D(), (3, 4, 2)),
    ],
)
def test_of_equal_maxima_one_gets_the_delta(layer, shape) -> None:
    model = built(type(layer)(**layer.get_config()), *shape)
    delta = np.abs(data(*model.forward(np.zeros((2, *shape))).shape))
    np.testing.assert_allclose(model.backward(delta).sum(), delta.sum(), rtol=1e-12)
    if "Global" in type(layer).__name__ or layer.strides is None:
        assert np.count_nonzero(model.backward(delta)) == delta.size


def test_the_first_of_equal_maxima_gets_the_delta() -> None:
    model = built(MaxPooling1D(3), 3, 1)
    model.forward(np.array([[[1.0], [2.0], [2.0]]]))
    np.testing.assert_array_equal(model.backward(np.ones((1, 1, 1))).ravel(), [0, 1, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_padding_is_never_the_largest(dtype) -> None:
    model = built(MaxPooling2D(3, strides=1, padding="same"), 3, 3, 1, dtype=dtype)
    x = -1 - np.abs(data(2, 3, 3, 1).astype(dtype))
    h = model.forward(x)
    assert (h <= -1).all()
    assert np.isfinite(model.backward(h)).all()


@pytest.mark.parametrize("padding", ["valid", "same", 1])
def test_the_mean_of_ones_is_one(padding) -> None:
    model = built(AveragePooling2D(3, strides=2, padding=padding), 6, 5, 2)
    assert (model.predict(np.ones((2, 6, 5, 2))) == 1).all()


@pytest.mark.parametrize(
    ("layer", "steps"),
    [
        (MaxPooling1D(), 3),
        (AveragePooling1D(2, strides=1, padding="same"), 7),
        (GlobalAveragePooling1D(), None),
        (GlobalMaxPooling1D(), None),
    ],
)
def test_the_number_of_steps_may_vary(layer, steps) -> None:
    model, fixed = built(layer, None, 2), built(type(layer)(**layer.get_config()), 7, 2)
    assert model.output_shape == ((2,) if steps is None else (None, 2))
    assert fixed.output_shape == ((2,) if steps is None else (steps, 2))
    for one in (model, fixed):
        one.forward(data(3, 7, 2))
    delta = np.ones((3, *fixed.output_shape))
    np.testing.assert_array_equal(model.backward(delta), fixed.backward(delta))
    assert model.predict(data(3, 12, 2)).shape[2 if steps else 1] == 2


def test_pooling_undoes_upsampling() -> None:
    up, x = built(UpSampling2D((2, 3)), 2, 4, 3), data(5, 2, 4, 3)
    assert up.output_shape == (4, 12, 3)
    h = up.predict(x)
    np.testing.assert_array_equal(h, x.repeat(2, axis=1).repeat(3, axis=2))
    for pool in (MaxPooling2D((2, 3)), AveragePooling2D((2, 3))):
        np.testing.assert_allclose(built(pool, 4, 12, 3).predict(h), x, rtol=1e-12)


def test_outputs_stay_in_the_order_of_computation() -> None:
    x = data(4, 4, 4, 3)
    smooth = UpSampling2D(interpolation="bilinear")
    for layer in (MaxPooling2D(), AveragePooling2D(), UpSampling2D(), smooth):
        model = built(layer, 4, 4, 3)
        h = model.forward(x)
        for made in (h, model.backward(h)):
            assert made.transpose(2, 3, 1, 0).flags.c_contiguous


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: MaxPooling2D(0), ValueError, ("MaxPooling2D", "pool_size >= 1", "got 0")),
        (lambda: MaxPooling2D(2, strides=0), ValueError, ("strides >= 1", "got 0")),
        (lambda: MaxPooling1D((2, 2)), ValueError, ("MaxPooling1D", "pool_size", "(2, 2)")),
        (lambda: MaxPooling2D(padding="causal"), ValueError, ("'valid', 'same'", "'causal'")),
        (lambda: AveragePooling2D(2, padding=2), ValueError, ("padding", "pool_size=2", "got 2")),
        (lambda: AveragePooling2D((4, 2), padding=2), ValueError, ("pool_size=(4, 2)", "got 2")),
        (lambda: UpSampling2D(0), ValueError, ("UpSampling2D", "size >= 1", "got 0")),
        (lambda: UpSampling2D(interpolation="cubic"), ValueError, ("'bilinear'", "'cubic'")),
        (lambda: UpSampling2D(1.5), ValueError, ("UpSampling2D", "size", "1.5")),
    ],
)
def test_options_are_checked(make, error, parts) -> None:
    with says(error, *parts):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "parts"),
    [
        (MaxPooling2D(), (8, 8), ("max_pooling2d_1", "(batch, height, width, channels)")),
        (MaxPooling2D(4), (8, 3, 1), ("max_pooling2d_1", "(4, 4)", "(8, 3)")),
        (GlobalAveragePooling1D(), (8,), ("global_average_pooling1d_1", "(8,)")),
        (UpSampling2D(), (8,), ("up_sampling2d_1", "(8,)")),
    ],
)
def test_input_shapes_are_checked(layer, shape, parts) -> None:
    with says(ValueError, *parts):
        built(layer, *shape)


def test_batches_are_checked() -> None:
    for layer in (MaxPooling2D(), AveragePooling2D(), GlobalMaxPooling2D(), UpSampling2D()):
        with says(ValueError, type(layer).__name__, "(batch, 4, 4, 3)", "(2, 4, 4, 1)"):
            built(layer, 4, 4, 3)[0].forward(data(2, 4, 4, 1))
        with says(AttributeError, "before it is built"):
            type(layer)().forward(data(2, 4, 4, 1))
