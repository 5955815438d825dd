"""Reading the weights of layers from a state dict of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.core.layer import walk
from minigrad.data.arrays import Array
from minigrad.interop.layouts import TORCH, array_of, weights_of
from minigrad.saving import safetensors
from minigrad.util.atomic import StrPath
from minigrad.util.names import nearest


def load_state_dict(
    model: mg.Model, state: StrPath | Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """Read the weights of some layers from a state dict in the layouts of `torch.nn`.

    This is the format of the files that Hugging Face's models are stored in. PyTorch isn't needed.

    Args:
        model: a built model; the layers that `names` doesn't name keep their weights.
        state: a safetensors file, or arrays or tensors by name.
        names: the name in the state dict of each layer, by its path here, as in
            {"dense_1": "encoder.fc1"} for "encoder.fc1.weight" and "encoder.fc1.bias".

    Raises:
        RuntimeError: the model isn't built.
        KeyError: a layer that the model doesn't have, or an array that the state dict lacks.
        TypeError: a layer without weights of its own, such as a `Residual` or one of your own.
        ValueError: an array of another shape. The model stays as it was.

    >>> model = mg.Sequential([mg.Dense(1)], input_shape=(2,), rng=0)
    >>> state = {"fc.weight": np.array([[1.0, 2.0]]), "fc.bias": np.array([3.0])}
    >>> load_state_dict(model, state, {"dense_1": "fc"})
    >>> model.predict(np.ones((1, 2)))
    array([[6.]])
    """
    _ = model.parameters  # an unbuilt model raises here
    given = state if isinstance(state, Mapping) else safetensors.load(state)[0]
    layers = dict(walk(model))
    found: list[tuple[Array, Array]] = []
    for path, prefix in names.items():
        if path not in layers:
            raise KeyError(f"{model.label} has no layer '{path}': {nearest(path, layers)}")
        layer = layers[path]
        weights = weights_of(layer, TORCH)
        if not weights:
            raise TypeError(
                f"load_state_dict expects layers with weights in torch.nn, got {layer.label}"
            )
        for weight in weights:
            full = [f"{prefix}.{name}" for name in weight.names]
            if missing := [name for name in full if name not in given]:
                raise KeyError(
                    f"{layer.label} expects '{missing[0]}': {nearest(missing[0], given)}"
                )
            array = np.asarray(weight.join(*(np.asarray(given[name]) for name in full)))
            own = array_of(layer, weight.attribute)
            if array.shape != own.shape:
                raise ValueError(
                    f"{layer.label} expects '{full[0]}' for a {weight.attribute} of shape "
                    f"{own.shape}, got shape {np.shape(given[full[0]])}"
                )
            found.append((own, array))
    for own, array in found:
        own[...] = array
