"""A model becomes one safetensors file: its arrays as tensors, all else as JSON in metadata."""

from __future__ import annotations

import os
from numbers import Real
from typing import Any

import numpy as np

from minigrad.core.layer import walk
from minigrad.core.model import Sequential
from minigrad.metrics import METRICS, Metric
from minigrad.saving import safetensors
from minigrad.saving.description import to_config
from minigrad.saving.generators import describe_rng
from minigrad.saving.rebuilding import VERSION
from minigrad.saving.weights import Tensors, arrays_of, first_paths, put
from minigrad.util.atomic import atomic_write
from minigrad.util.config import Configurable
from minigrad.util.random import is_rng


def save(model: Sequential, path: str | os.PathLike[str]) -> None:
    """Write a model; see `Sequential.save`.

    The tensors: each parameter and buffer by its path ('dense_1.weight'), a shared one once,
    under its first path; 'optimizer.velocity' and the like, each as long as all parameters;
    'history.loss' and the like, in float64; 'array.0' and so on, the arrays among the layers'
    options and in the random state. The metadata: 'format', 'version', 'minigrad' (the version
    that wrote it), and 'model': JSON, with Python's NaN and Infinity.

    The format is the same whatever the path ends in, as it is in `load`: "net.h5" is no HDF5 file,
    and isn't refused either, since a save often ends a long run.
    """
    import json

    from minigrad import __version__

    tensors: Tensors = {}
    document = _describe(model, tensors)
    metadata = {
        "format": "minigrad",
        "version": str(VERSION),
        "minigrad": __version__,
        "model": json.dumps(document),
    }
    atomic_write(path, safetensors.dumps(tensors, metadata))


def _describe(model: Sequential, tensors: Tensors) -> dict[str, Any]:
    """Return what JSON holds of a model; its arrays are put into `tensors`."""
    architecture = to_config(model, "the model", tensors)
    for name, array in arrays_of(model).items():
        put(tensors, name, array)
    for name, figures in model.history.items():
        if not all(isinstance(figure, Real) for figure in figures):
            raise TypeError(f"history['{name}'] must hold numbers, got {figures}")
        put(tensors, f"history.{name}", np.array(figures, dtype=np.float64))
    layers = list(walk(model))
    parameters = list(model.named_parameters())
    held = [
        (path, name, value)
        for path, layer in layers
        for name, value in vars(layer).items()
        if is_rng(value)
    ]
    generators = list({id(rng): rng for _, _, rng in held}.values())
    described = [to_config(describe_rng(rng), "a generator", tensors) for rng in generators]
    return {
        "architecture": architecture,
        "names": {path: [c.name for c in m.children] for path, m in layers if m.children},
        "shared": first_paths(model),
        "penalties": {
            path: to_config(p.regularizer, f"the penalty of '{path}'", tensors)
            for path, p in parameters
            if p.regularizer is not None
        },
        "frozen_layers": [path for path, layer in layers if not layer.trainable],
        "frozen_parameters": [path for path, p in parameters if not p.trainable],
        "compiled": _describe_compiled(model, tensors),
        "generators": described,
        "generator_places": [(path, name, generators.index(rng)) for path, name, rng in held],
        "entropy": {
            path: m.seed for path, m in layers if isinstance(m, Sequential) and m.seed is not None
        },
        "split_seed": model._split_seed,
        "history": list(model.history),
        "planned": model.trainer.epochs if model.trainer and model.trainer.epochs > model.trainer.epoch else None,
    }


def _describe_compiled(model: Sequential, tensors: Tensors) -> dict[str, Any] | None:
    if model.optimizer is None:
        return None
    optimizer = model.optimizer
    state = {n: v for n, v in optimizer.state.items() if n in optimizer.slots and v.size}
    for name, vector in state.items():
        put(tensors, f"optimizer.{name}", vector)
    return {
        "optimizer": to_config(optimizer, "the optimizer", tensors),
        "loss": to_config(model.loss, "the loss", tensors),
        "metrics": [_describe_metric(n, metric, tensors) for n, metric in model.metrics.items()],
        "steps": optimizer.steps,
        "state": list(state),
    }


def _describe_metric(name: str, metric: Metric, tensors: Tensors) -> Any:
    if METRICS.get(name) is metric:
        return name
    value: object = metric
    if isinstance(value, Configurable):
        return to_config(value, f"metric '{name}'", tensors)
    return {"function": name}
