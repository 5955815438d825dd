"""Compare every layer with PyTorch: recorded numbers, and live ones where it is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

import minigrad
from helpers import torch_script
from minigrad import Activation, Chain, Dense, Layer, Parameter, Sequential, Tanh
from minigrad.core.layer import walk
from minigrad.util.config import registered

REFERENCE = Path(__file__).with_name("reference")
ATTENTION = REFERENCE / "attention.json"
PARTS = "layers", "recurrent", "convolution"
KEPT = {
    code: case
    for part in PARTS
    for code, case in json.loads((REFERENCE / f"{part}.json").read_text())["cases"].items()
}


def make(code: str) -> Layer:
    if code == "tied":  # two layers that share a weight
        weight = Parameter(np.zeros((4, 4)))
        return Chain([Dense(4, weight=weight), Tanh(), Dense(4, weight=weight)])
    made = eval(code, vars(minigrad))
    assert isinstance(made, Layer)
    return made


def compare(code: str, case: dict, dtype: str) -> None:
    """Run our layer through a case, with its parameters, step by step."""
    rtol, atol = (1e-12, 1e-13) if dtype == "float64" else (1e-5, 2e-6)

    def close(ours: np.ndarray, theirs: list) -> None:
        assert ours.dtype == dtype
        size = max(1.0, np.abs(theirs).max(initial=0))
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol * size)

    shape = np.shape(case["steps"][0]["input"])[1:]
    model = Sequential([make(code)], input_shape=shape, rng=0, dtype=dtype)
    for parameter, value in zip(model.parameters, case["parameters"], strict=True):
        parameter.value = np.array(value).reshape(parameter.shape)
    for step in case["steps"]:
        x, delta = (np.array(step[key], dtype) for key in ("input", "delta"))
        close(model.forward(x), step["output"])
        close(model.backward(delta), step["input_delta"])
        for parameter, gradient in zip(model.parameters, step["gradients"], strict=True):
            close(parameter.grad, gradient)
        buffers = [getattr(layer, name) for _, layer in walk(model) for name in layer.buffers]
        for ours, theirs in zip(buffers, step["buffers"], strict=True):
            close(ours, theirs)
    close(model.predict(x), case["inference"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("code", KEPT)
def test_recorded_numbers(code: str, dtype: str) -> None:
    compare(code, KEPT[code], dtype)


@pytest.fixture(scope="module")
def live():
    modules = [torch_script(part) for part in PARTS]
    return {
        dtype: {code: case for module in modules for code, case in module.cases(dtype).items()}
        for dtype in ("float64", "float32")
    }


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("code", KEPT)
def test_live_numbers(code: str, dtype: str, live) -> None:
    compare(code, live[dtype][code], dtype)


LIVE = {
    "Conv1DTranspose", "Cropping1D", "Cropping2D", "DepthwiseConv2D", "Dot", "GaussianNoise",
    "Lambda",
    "Maximum", "Minimum", "PReLU", "Permute", "RepeatVector", "Rescaling", "SeparableConv2D",
    "Slice",
    "SpatialDropout1D", "SpatialDropout2D", "Subtract", "UpSampling1D", "ZeroPadding1D",
    "ZeroPadding2D",
}  # fmt: skip
"""Layers without recorded numbers: `tests/interop/test_torch.py` compares with PyTorch itself."""


def test_every_layer_is_compared() -> None:
    names = {n for n, c in registered(Layer).items() if c.__module__.startswith("minigrad.")}
    seen = {type(layer).__name__ for code in KEPT for _, layer in walk(make(code))}
    seen |= {code.partition("(")[0] for code in json.loads(ATTENTION.read_text())["cases"]}
    assert names - seen == {"Dropout", "Mask", "Model", "Reshape", "Sequential"} | LIVE
    assert Activation.__name__ not in seen
