"""Convolution: padding, lengths that vary, shared weights, blocks of windows, bad input."""

import numpy as np
import pytest

import minigrad
from helpers import says
from minigrad import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Dense,
    GlobalAveragePooling1D,
    MSELoss,
    Sequential,
    check_gradients,
)
from minigrad.initializers import GlorotUniform, HeUniform, LecunUniform, Orthogonal
from minigrad.layers import windows
from minigrad.util.spelling import snake_case


def built(layer, *input_shape, dtype="float64"):
    return Sequential([layer], input_shape=input_shape, rng=0, dtype=dtype)


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


def test_a_convolution_is_dense_on_each_window() -> None:
    model, x = built(Conv2D(3, (2, 3), strides=(1, 2)), 4, 7, 2), data(2, 4, 7, 2)
    weight = model[0].weight.value
    assert weight.shape == (2, 3, 2, 3)
    z = model.predict(x)
    assert z.shape == (2, 3, 3, 3)
    for u, v in np.ndindex(3, 3):
        window = x[:, u : u + 2, 2 * v : 2 * v + 3]
        np.testing.assert_allclose(z[:, u, v], np.tensordot(window, weight, 3), rtol=1e-12)


@pytest.mark.parametrize(
    ("padding", "lengths"),
    [("valid", (3, 2)), ("same", (5, 5)), (2, (7, 6)), ((0, 1), (3, 4)), ([0, 1], (3, 4))],
)
def test_padding_decides_the_output_lengths(padding, lengths) -> None:
    assert built(Conv2D(1, (3, 4), padding=padding), 5, 5, 1).output_shape == (*lengths, 1)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 4, 5, 6])
def test_same_divides_the_lengths_by_the_strides(length: int, strides: int) -> None:
    forth = Conv2D(2, 3, strides=strides, padding="same")
    back = Conv2DTranspose(2, 3, strides=strides, padding="same")
    outputs = -(-length // strides)
    assert built(forth, length, length, 1).output_shape == (outputs, outputs, 2)
    wide = length * strides
    assert built(back, length, length, 1).output_shape == (wide, wide, 2)


def test_causal_outputs_depend_on_the_past_only() -> None:
    model, x = built(Conv1D(2, 3, padding="causal", dilation_rate=2), None, 1), data(1, 9, 1)
    later = x.copy()
    later[:, 5:] += 1
    same = model.predict(x) == model.predict(later)
    assert same[:, :5].all()
    assert not same[:, 5:].any()


@pytest.mark.parametrize("layer", [Conv1D(2, 3), Conv1D(2, 3, strides=2, padding="same")])
def test_the_number_of_steps_may_vary(layer) -> None:
    model = built(layer, None, 2)
    fixed = built(type(layer)(**layer.get_config()), 7, 2)
    assert model.output_shape == (None, 2)
    np.testing.assert_array_equal(model.predict(data(3, 7, 2)), fixed.predict(data(3, 7, 2)))
    assert model.predict(data(3, 11, 2)).shape[1] > fixed.output_shape[0]
    layers = [type(layer)(**layer.get_config()), GlobalAveragePooling1D()]
    mean = Sequential(layers, input_shape=(None, 2), rng=0)
    report = check_gradients(mean, data(2, 5, 2), np.ones((2, 2)), MSELoss())
    assert report.passed, report


def test_an_image_of_any_size_fits() -> None:
    model = Sequential(
        [Conv2D(2, 3, activation="relu"), Conv2DTranspose(1, 3)], input_shape=(None, None, 1)
    )
    assert model.output_shape == (None, None, 1)
    assert model.predict(data(2, 6, 4, 1)).shape == (2, 6, 4, 1)


def test_transpose_is_the_backward_pass_of_a_convolution() -> None:
    forth = built(Conv2D(3, (3, 2), strides=2, padding=1, use_bias=False), 5, 4, 2)
    delta = data(*forth.forward(data(2, 5, 4, 2)).shape)
    weight = forth[0].weight.value
    layer = Conv2DTranspose(
        2, (3, 2), strides=2, padding=1, use_bias=False, weight_initializer=weight
    )
    back = built(layer, *delta.shape[1:])
    np.testing.assert_allclose(back.predict(delta), forth.backward(delta)[:, :5, :4], rtol=1e-12)


def test_small_blocks_of_windows_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for size in (2**18, 1):
        monkeypatch.setattr(windows, "_BLOCK_SIZE", size)
        model = built(Conv2D(3, 2), 6, 5, 2)
        delta = np.ones_like(model.forward(data(4, 6, 5, 2)))
        results.append([model.predict(data(4, 6, 5, 2)), model.backward(delta)])
        results[-1].append(model.parameters.grad.copy())
    for whole, blocks in zip(*results, strict=True):
        np.testing.assert_allclose(blocks, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_memory_order_of_the_input_makes_no_difference(order) -> None:
    model, x = built(Conv2D(2, 2), 4, 4, 3), data(5, 4, 4, 3)
    np.testing.assert_array_equal(model.predict(np.array(x, order=order)), model.predict(x))
    np.testing.assert_array_equal(model.predict(np.repeat(x, 2, axis=1)[:, ::2]), model.predict(x))


def test_two_convolutions_share_a_weight() -> None:
    first = Conv1D(2, 3, padding="same")
    model = built(first, 5, 2)
    shared = Sequential(
        [first, Conv1D(2, 3, padding="same", weight=model[0].weight, use_bias=False)],
        input_shape=(5, 2),
    )
    assert shared.parameters.size == 2 * 2 * 3 + 2
    report = check_gradients(shared, data(2, 5, 2), data(2, 5, 2), MSELoss())
    assert report.passed, report
    with says(ValueError, "Conv1D", "shared weight of shape (3, 2, 4)", "(3, 2, 2)"):
        built(Conv1D(4, 3, weight=model[0].weight), 5, 2)


def test_a_convolution_is_saved_with_its_options(tmp_path) -> None:
    model = built(Conv2D(2, (1, 2), padding=(0, 1), strides=[1, 2], activation="relu"), 3, 4, 1)
    model.save(tmp_path / "net.safetensors")
    twin = minigrad.load(tmp_path / "net.safetensors")
    assert twin[0].strides == (1, 2)
    assert twin[0].padding == (0, 1)
    np.testing.assert_array_equal(twin.predict(data(2, 3, 4, 1)), model.predict(data(2, 3, 4, 1)))


def test_an_edge_detector_is_learned() -> None:
    x = data(64, 6, 6, 1)
    y = x[:, :, 1:] - x[:, :, :-1]
    model = Sequential([Conv2D(1, (1, 2))], input_shape=(6, 6, 1), rng=0)
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.learning_rate = 0.05
    model.fit(x, y, epochs=60, verbose=0)
    np.testing.assert_allclose(model[0].weight.value.ravel(), [-1, 1], atol=1e-2)


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [(GlorotUniform(), 2 / (9 * 20 + 9 * 30)), (HeUniform(), 2 / 180), (LecunUniform(), 1 / 180)],
)
def test_initializers_count_the_kernel(initializer, variance: float) -> None:
    weight = initializer((3, 3, 20, 30), np.random.default_rng(0))
    assert weight.var() == pytest.approx(variance, rel=0.05)


def test_filters_are_orthogonal() -> None:
    weight = Orthogonal()((3, 3, 2, 4), np.random.default_rng(0)).reshape(-1, 4)
    np.testing.assert_allclose(weight.T @ weight, np.eye(4), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Conv1D", "conv1d"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("MaxPooling2D", "max_pooling2d"),
        ("GlobalAveragePooling1D", "global_average_pooling1d"),
        ("UpSampling2D", "up_sampling2d"),
        ("GRU", "gru"),
        ("LSTM", "lstm"),
        ("SimpleRNN", "simple_rnn"),
        ("RMSNorm", "rms_norm"),
        ("MultiHeadAttention", "multi_head_attention"),
        ("L1L2", "l1_l2"),
    ],
)
def test_names_in_snake_case_are_those_of_keras(name: str, snake: str) -> None:
    assert snake_case(name) == snake


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: Conv2D(0, 3), ValueError, ("Conv2D", "filters >= 1", "got 0")),
        (lambda: Conv2D(2, (3, 0)), ValueError, ("kernel_size >= 1", "got 0")),
        (lambda: Conv2D(2, (3,)), ValueError, ("Conv2D", "kernel_size", "2 ints", "(3,)")),
        (lambda: Conv2D(2, "3"), TypeError, ("kernel_size", "'3'")),
        (lambda: Conv2D(2, 3, strides=0), ValueError, ("strides >= 1", "got 0")),
        (lambda: Conv2D(2, 3, strides=(1, -1)), ValueError, ("strides >= 1", "got -1")),
        (lambda: Conv1D(2, 3, dilation_rate=0), ValueError, ("dilation_rate >= 1", "got 0")),
        (lambda: Conv2D(2, 3, padding=-1), ValueError, ("padding >= 0", "got -1")),
        (lambda: Conv2D(2, 3, padding="full"), ValueError, ("'valid', 'same'", "got 'full'")),
        (lambda: Conv2D(2, 3, padding="causal"), ValueError, ("Conv2D", "got 'causal'")),
        (lambda: Conv1D(2, 3, padding="sam"), ValueError, ("'causal'", "got 'sam'")),
        (lambda: Conv2D(2, 3, padding=(1, 2, 3)), ValueError, ("padding", "(1, 2, 3)")),
        (lambda: Conv2D(2, 3, kernel_initializer="zeros"), TypeError, ("weight_initializer",)),
        (lambda: Conv2D(2, 3, weight=3), TypeError, ("Conv2D expects a Parameter",)),
    ],
)
def test_options_are_checked(make, error, parts) -> None:
    with says(error, *parts):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "parts"),
    [
        (Conv2D(2, 3), (8, 8), ("conv2d_1", "(batch, height, width, channels)", "(8, 8)")),
        (Conv1D(2, 3), (8,), ("conv1d_1", "(batch, steps, channels)", "(8,)")),
        (Conv1D(2, 3), (8, None), ("conv1d_1", "last axis", "(8, None)")),
        (Conv2D(2, (3, 4)), (8, 3, 1), ("conv2d_1", "(3, 4)", "(8, 3)", "smaller kernel")),
        (Conv2D(2, 3, padding=1, dilation_rate=3), (4, 4, 1), ("(7, 7)", "(6, 6)")),
        (Conv2DTranspose(2, 2, padding=1), (1, 1, 1), ("conv2d_transpose_1", "(0, 0)")),
    ],
)
def test_input_shapes_are_checked(layer, shape, parts) -> None:
    with says(ValueError, *parts):
        built(type(layer)(**layer.get_config()), *shape)


def test_batches_are_checked() -> None:
    model = built(Conv2D(2, 3), 4, 4, 3)
    with says(ValueError, "conv2d_1", "(batch, 4, 4, 3)", "(2, 4, 4, 1)"):
        model[0].forward(data(2, 4, 4, 1))
    steps = Sequential([Conv1D(2, 3), GlobalAveragePooling1D(), Dense(1)], input_shape=(None, 1))
    with says(ValueError, "conv1d_1", "at least (3,)", "got (2,)"):
        steps.predict(data(1, 2, 1))
    model.forward(data(2, 4, 4, 3))
    with says(TypeError, "conv2d_1", "float64", "float32"):
        model[0].backward(np.ones((2, 2, 2, 2), "float32"))
    with says(AttributeError, "Conv2D", "before it is built"):
        Conv2D(2, 3).forward(data(2, 4, 4, 3))
