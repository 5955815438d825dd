"""A whole model as one safetensors file: arrays as tensors, everything else as JSON in metadata."""

from __future__ import annotations

import json
from numbers import Real
from typing import Any

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.model import BaseModel
from minigrad.core.trainer import Trainer
from minigrad.metrics import METRICS
from minigrad.models.sharing import first_paths
from minigrad.saving import safetensors
from minigrad.saving.weights import arrays_of, put
from minigrad.util.atomic import StrPath, atomic_write
from minigrad.util.config import Configurable
from minigrad.util.random import RNG, is_rng
from minigrad.util.serialization import Arrays, describe_rng, to_config

VERSION = "1"  # files of another version of the format are refused


def save(model: BaseModel, path: StrPath, trainer: Trainer | None, split_seed: int | None) -> None:
    """Write a model to a file; see `Model.save`.

    The tensors:

    - each parameter and buffer by its path ('dense_1.weight'), a shared one by its first path;
    - 'optimizer.velocity' and the like, as long as all parameters together;
    - 'history.loss' and the like, in float64;
    - 'array.0' and so on: the arrays among the options of layers and in random states.

    The metadata: 'format', 'version', 'minigrad' (the version that wrote the file), and 'model',
    which is JSON with Python's NaN and Infinity. The suffix of the path makes no difference.
    """
    from minigrad import __version__

    tensors: Arrays = {}
    document = json.dumps(_describe(model, trainer, split_seed, tensors))
    metadata = {"format": "minigrad", "version": VERSION, "minigrad": __version__}
    atomic_write(path, safetensors.dumps(tensors, {**metadata, "model": document}))


def generators_of(layer: Layer) -> list[tuple[str, RNG]]:
    """Return the random generators of a layer by attribute."""
    return [(name, value) for name, value in vars(layer).items() if is_rng(value)]


def _describe(
    model: BaseModel, trainer: Trainer | None, split_seed: int | None, tensors: Arrays
) -> dict[str, Any]:
    """Return what JSON holds of a model; `tensors` receives its arrays."""
    architecture = to_config(model, "the model", tensors)
    for name, array in arrays_of(model).items():
        put(tensors, name, array)
    history = trainer.history if trainer else {}
    for name, values in history.items():
        if not all(isinstance(value, Real) for value in values):
            raise TypeError(f"history['{name}'] must hold numbers, got {values}")
        put(tensors, f"history.{name}", np.array(values, dtype=np.float64))
    layers, parameters = list(walk(model)), list(model.named_parameters())
    places = [(path, name, rng) for path, layer in layers for name, rng in generators_of(layer)]
    generators = list({id(rng): rng for _, _, rng in places}.values())
    tree = {
        "names": {path: [c.name for c in m.children] for path, m in layers if m.children},
        "shared": first_paths(model),
        "penalties": {path: p.regularizer for path, p in parameters if p.regularizer is not None},
        "frozen_layers": [path for path, layer in layers if not layer.trainable],
        "frozen_parameters": [path for path, p in parameters if not p.trainable],
        "factor_layers": {path: m.learning_rate_factor for path, m in layers if m._factor != 1},
        "factor_parameters": {
            path: p.learning_rate_factor for path, p in parameters if p.learning_rate_factor != 1
        },
        "compiled": _training(trainer, tensors) if trainer else None,
        "generators": generators,
        "generator_places": [(path, name, generators.index(rng)) for path, name, rng in places],
        "entropy": {
            p: m.seed for p, m in layers if isinstance(m, BaseModel) and m.seed is not None
        },
        "split_seed": split_seed,
        "history": list(history),
        # The epochs that the running `fit` will end with.
        "planned": trainer.epochs if trainer and trainer.epochs > trainer.history.epochs else None,
    }
    return {"architecture": architecture, **_written(tree, tensors)}


def _training(trainer: Trainer, tensors: Arrays) -> dict[str, Any]:
    """Return how a model is trained; `tensors` receives the arrays of the optimizer."""
    optimizer = trainer.optimizer
    state = {n: v for n, v in optimizer.state.items() if n in optimizer.slots and v.size}
    for name, vector in state.items():
        put(tensors, f"optimizer.{name}", vector)
    return {
        "optimizer": optimizer,
        "loss": trainer.loss,
        "metrics": [_metric(name, metric) for name, metric in trainer.metrics.items()],
        "steps": optimizer.steps,
        "state": list(state),
    }


def _metric(name: str, metric: object) -> object:
    if METRICS.get(name) is metric:
        return name
    return metric if isinstance(metric, Configurable) else {"function": name}


def _written(tree: Any, arrays: Arrays) -> Any:
    """Return what JSON holds of a tree of objects and generators; `arrays` receives its arrays."""
    if isinstance(tree, dict):
        return {key: _written(value, arrays) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_written(item, arrays) for item in tree]
    return to_config(describe_rng(tree) if is_rng(tree) else tree, "the model", arrays)
