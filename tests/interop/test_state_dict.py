"""Reading state dicts in PyTorch's layout by a map of names."""

import numpy as np
import pytest

from helpers import Scale, says, varied
from minigrad import (
    GRU,
    LSTM,
    BatchNorm,
    Conv1D,
    Dense,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    Residual,
    Sequential,
)
from minigrad.interop.state_dict import load_state_dict


def small(rng):
    layers = [
        Embedding(7, 4),
        Residual([MultiHeadAttention(2), LayerNorm()]),
        Conv1D(4, 3, activation="gelu"),
        BatchNorm(),
        GRU(4, return_sequences=True),
        LSTM(3),
        Dense(2),
    ]
    return Sequential(layers, input_shape=(5,), rng=rng)


def test_a_file_of_pytorch_gives_the_same_predictions(tmp_path) -> None:
    pytest.importorskip("torch")
    save = pytest.importorskip("safetensors.torch").save_file
    from minigrad.interop.torch import to_torch

    model, other = varied(small(0)), small(1)
    paths = [path for path, layer in _leaves(model)]
    state = to_torch(model).state_dict()
    prefixes = sorted({name.rpartition(".")[0].removesuffix(".out_proj") for name in state})
    names = {path: next(p for p in prefixes if path.split(".")[-1] in p) for path in paths}
    save({f"model.{name}": tensor for name, tensor in state.items()}, tmp_path / "net.safetensors")
    names = {path: f"model.{prefix}" for path, prefix in names.items()}
    load_state_dict(other, tmp_path / "net.safetensors", names)
    x = np.random.default_rng(0).integers(7, size=(3, 5))
    np.testing.assert_allclose(other.predict(x), model.predict(x), rtol=1e-12)


def _leaves(model):
    from minigrad.core.layer import walk

    return [(path, layer) for path, layer in walk(model) if layer.own_parameters()]


def test_other_layers_keep_their_weights() -> None:
    model = Sequential([Dense(2), Dense(1)], input_shape=(3,), rng=0)
    kept = model[1].weight.value.copy()
    state = {"a.b.weight": np.ones((2, 3), np.float32), "a.b.bias": [1.0, 2.0], "more": np.ones(1)}
    load_state_dict(model, state, {"dense_1": "a.b"})
    np.testing.assert_array_equal(model[0].weight.value, np.ones((3, 2)))
    np.testing.assert_array_equal(model[0].bias.value, [1, 2])
    np.testing.assert_array_equal(model[1].weight.value, kept)


def test_bad_input() -> None:
    model = Sequential([Dense(2), Scale()], input_shape=(3,), rng=0)
    before = model.parameters.value.copy()
    good = {"fc.weight": np.ones((2, 3)), "fc.bias": np.ones(2)}
    with says(KeyError, "dense_2", "dense_1"):
        load_state_dict(model, good, {"dense_2": "fc"})
    with says(KeyError, "Dense 'dense_1'", "head.weight", "fc.weight"):
        load_state_dict(model, good, {"dense_1": "head"})
    with says(TypeError, "Scale 'scale_1'"):
        load_state_dict(model, good, {"scale_1": "fc"})
    with says(ValueError, "Dense 'dense_1'", "fc.weight", "(3, 2)", "(5, 3)"):
        load_state_dict(model, {**good, "fc.weight": np.ones((5, 3))}, {"dense_1": "fc"})
    with says(ValueError, "fc.bias", "(2,)", "(1,)"):
        load_state_dict(model, {**good, "fc.bias": np.ones(1)}, {"dense_1": "fc"})
    with says(RuntimeError, "input_shape"):
        load_state_dict(Sequential([Dense(2)]), good, {"dense_1": "fc"})
    np.testing.assert_array_equal(model.parameters.value, before)
