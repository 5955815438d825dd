"""A whole model as one safetensors file: arrays as tensors, everything else as JSON in metadata."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, prod
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.core.layer import Layer, build_once, walk
from minigrad.data.arrays import Shape, as_input_shape
from minigrad.metrics import METRICS
from minigrad.models.sharing import replace
from minigrad.regularizers import Regularizer
from minigrad.saving import safetensors
from minigrad.saving.weights import arrays_of, fill, first_paths, put, refuse
from minigrad.util.atomic import StrPath, atomic_write
from minigrad.util.config import Configurable, registered
from minigrad.util.names import join
from minigrad.util.random import RNG, is_rng
from minigrad.util.serialization import (
    Arrays,
    CustomObjects,
    describe_rng,
    from_config,
    restore_rng,
    to_config,
)

VERSION = "1"  # files of another version of the format are refused


def save(model: Layer, path: StrPath) -> None:
    """Write a model to a file; see `Model.save`.

    The tensors:

    - each parameter and buffer by its path ('dense_1.weight'), a shared one by its first path;
    - 'optimizer.velocity' and the like, as long as all parameters together;
    - 'history.loss' and the like, in float64;
    - 'array.0' and so on: the arrays among the options of layers and in random states.

    The metadata: 'format', 'version', 'minigrad' (the version that wrote the file), and 'model',
    which is JSON with Python's NaN and Infinity. The suffix of the path makes no difference.
    """
    import json

    from minigrad import __version__

    tensors: Arrays = {}
    document = json.dumps(_describe(model, tensors))
    metadata = {"format": "minigrad", "version": VERSION, "minigrad": __version__}
    atomic_write(path, safetensors.dumps(tensors, {**metadata, "model": document}))


def load(path: StrPath, custom_objects: CustomObjects) -> Any:
    """Return the model in a file; see `minigrad.load`."""
    import json

    from minigrad import __version__

    tensors, metadata = safetensors.load(path)
    with refuse(path):
        if metadata.get("format") != "minigrad":
            way = "create the model and call load_weights"
            raise ValueError(f"the file holds tensors but no minigrad model: {way}")
        if metadata.get("version") != VERSION:
            raise ValueError(
                f"the file was written by minigrad {metadata.get('minigrad')} in version "
                f"{metadata.get('version')} of the format, and minigrad {__version__} reads "
                f"version {VERSION}: pip install --upgrade minigrad"
            )
        return _Loading(json.loads(metadata["model"]), tensors, custom_objects).model()


def _describe(model: Any, tensors: Arrays) -> dict[str, Any]:
    """Return what JSON holds of a model; `tensors` receives its arrays."""
    architecture = to_config(model, "the model", tensors)
    for name, array in arrays_of(model).items():
        put(tensors, name, array)
    for name, values in model.history.items():
        if not all(isinstance(value, Real) for value in values):
            raise TypeError(f"history['{name}'] must hold numbers, got {values}")
        put(tensors, f"history.{name}", np.array(values, dtype=np.float64))
    layers, parameters = list(walk(model)), list(model.named_parameters())
    places = [(path, name, rng) for path, layer in layers for name, rng in _generators(layer)]
    generators = list({id(rng): rng for _, _, rng in places}.values())
    trainer, trained = model.trainer, model.history.epochs
    return {
        "architecture": architecture,
        "names": {path: [c.name for c in m.children] for path, m in layers if m.children},
        "shared": first_paths(model),
        "penalties": {
            path: to_config(p.regularizer, f"the regularizer of '{path}'", tensors)
            for path, p in parameters
            if p.regularizer is not None
        },
        "frozen_layers": [path for path, layer in layers if not layer.trainable],
        "frozen_parameters": [path for path, p in parameters if not p.trainable],
        "compiled": _describe_compiled(model, tensors),
        "generators": [to_config(describe_rng(g), "a generator", tensors) for g in generators],
        "generator_places": [(path, name, generators.index(rng)) for path, name, rng in places],
        "entropy": {path: m.seed for path, m in _models(model) if m.seed is not None},
        "split_seed": model._split_seed,
        "history": list(model.history),
        # The epochs that the running `fit` will end with.
        "planned": trainer.epochs if trainer and trainer.epochs > trained else None,
    }


def _describe_compiled(model: Any, tensors: Arrays) -> dict[str, Any] | None:
    optimizer = model.optimizer
    if optimizer is None:
        return None
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


def _describe_metric(name: str, metric: object, tensors: Arrays) -> Any:
    if METRICS.get(name) is metric:
        return name
    if isinstance(metric, Configurable):
        return to_config(metric, f"metric '{name}'", tensors)
    return {"function": name}


def _models(model: Layer) -> list[tuple[str, Any]]:
    return [(path, layer) for path, layer in walk(model) if hasattr(layer, "compile")]


def _generators(layer: Layer) -> list[tuple[str, RNG]]:
    return [(name, value) for name, value in vars(layer).items() if is_rng(value)]


class Blank(np.random.Generator):
    """A random generator from which `initialize` gets zeros: at most `left` elements."""

    left: float = inf

    def zeros(self, shape: tuple[int, ...], owner: str) -> NDArray[np.float64]:
        """Return zeros, or refuse before memory is taken for more elements than are left."""
        self.left -= prod(shape)
        if self.left < 0:
            raise ValueError(f"{owner} has shape {shape}, which is more than the file holds")
        return np.zeros(shape)


@dataclass
class _Loading:
    """The load of one file; each of its tensors is removed once it is used."""

    document: Any
    tensors: Arrays
    custom_objects: CustomObjects
    unbuilt: list[tuple[Any, Shape]] = field(default_factory=list)

    def model(self) -> Any:
        """Return the model; any exception may be raised if the file isn't from `save`."""
        model = self.make(self.document["architecture"])
        if not isinstance(model, Layer) or not hasattr(model, "compile"):
            raise TypeError(f"expected a model such as Sequential, got {model!r}")
        for path, layer in walk(model):  # `walk` reads the names of children after they are set
            names = self.document["names"].get(path, ())
            for child, name in zip(layer.children, names, strict=False):
                child.name = _check_type(f"a name in '{path}'", name, str)
        self.build(model)
        self.fill(arrays_of(model))
        self.restore_parameters(model)
        self.restore_generators(model)
        self.restore_training(model)
        if self.tensors:
            raise ValueError(f"the model has no place for the arrays {sorted(self.tensors)[:5]}")
        return model

    def build(self, model: Layer) -> None:
        """Build the layers with zeros, restore sharing, and gather the parameters in vectors."""
        shared = self.document["shared"]
        _check_known(shared.values(), self.tensors)
        held = [*self.tensors.values(), *(self.tensors[first] for first in shared.values())]
        blank = Blank(np.random.PCG64(0))
        blank.left = sum(array.size for array in held)
        for inner, input_shape in self.unbuilt:
            build_once(inner, input_shape, blank)
        places = {
            join(path, name): (layer, parameter)
            for path, layer in walk(model)
            for name, parameter in layer.own_parameters()
        }
        _check_known(shared.keys() | shared.values(), places)
        for path, first in shared.items():
            (layer, own), (_, source) = places[path], places[first]
            if own.shape != source.shape:
                raise ValueError(f"'{path}' has shape {own.shape} and can't share {source!r}")
            replace(layer, own, source)
        if first_paths(model) != shared:
            raise ValueError(f"the model can't share its parameters like this: {shared}")
        for inner, input_shape in self.unbuilt:
            inner.build_for(input_shape)

    def restore_parameters(self, model: Layer) -> None:
        layers, parameters = dict(walk(model)), dict(model.named_parameters())
        frozen, regularizers = set(self.document["frozen_parameters"]), self.document["penalties"]
        _check_known([*frozen, *regularizers], parameters)
        _check_known(self.document["frozen_layers"], layers)
        for path in self.document["frozen_layers"]:
            layers[path].trainable = False
        for path, parameter in parameters.items():
            parameter.trainable = path not in frozen
            regularizer = self.make(regularizers.get(path))
            if not isinstance(regularizer, Regularizer | None):
                raise TypeError(f"'{path}' expects a regularizer, got {regularizer!r}")
            if repr(regularizer) != repr(parameter.regularizer):  # else it stays the layer's own
                parameter.regularizer = regularizer

    def restore_generators(self, model: Any) -> None:
        """Give each layer its random generator; layers that shared one share it again."""
        generators = [restore_rng(self.make(d)) for d in self.document["generators"]]
        places = {(p, name): generators[i] for p, name, i in self.document["generator_places"]}
        seeds, layers = self.document["entropy"], dict(walk(model))
        _check_known(seeds, layers)
        for path, layer in layers.items():
            for name, _ in _generators(layer):
                if (path, name) not in places:
                    raise ValueError(f"the random state of {layer.label} ({name}) is missing")
                setattr(layer, name, places.pop((path, name)))
        for path, inner in _models(model):
            inner.seed = _int_or_none("entropy", seeds.get(path))
        if places:
            raise ValueError(f"no layer has the random states {[*places][:5]}")
        model._split_seed = _int_or_none("split_seed", self.document["split_seed"])

    def restore_training(self, model: Any) -> None:
        """Compile the model, and restore the state of the optimizer and the history."""
        compiled = self.document["compiled"]
        if compiled is not None:
            optimizer, loss = self.make(compiled["optimizer"]), self.make(compiled["loss"])
            model.compile(optimizer=optimizer, loss=loss, metrics=self.make(compiled["metrics"]))
            optimizer.steps = _check_type("steps", compiled["steps"], int)
            if not 0 <= optimizer.steps < 2**63:
                raise ValueError(f"steps must be from 0 to 2**63, got {optimizer.steps}")
            _check_known(compiled["state"], optimizer.slots)
            state = {name: np.empty_like(model.parameters.value) for name in compiled["state"]}
            self.fill({f"optimizer.{name}": vector for name, vector in state.items()})
            optimizer.state = state
        for name in self.document["history"]:
            values = self.tensors.pop(f"history.{name}", None)
            if values is None or values.dtype != np.float64 or values.ndim != 1:
                raise ValueError(f"'history.{name}' must be a vector of F64, got {values!r}")
            model.history[name] = values.tolist()
        planned, trainer = _int_or_none("planned", self.document["planned"]), model.trainer
        if trainer:
            trainer.epochs = model.history.epochs if planned is None else planned

    def fill(self, own: Arrays) -> None:
        fill(own, {n: self.tensors.pop(n) for n in own if n in self.tensors}, casting="no")

    def make(self, description: Any) -> Any:
        return from_config(description, self.custom_objects, self.tensors, make=self._made)

    def _made(self, cls: Any, options: Mapping[str, Any]) -> Any:
        """Create an object; a model stays unbuilt, and gets a seed, as None would draw entropy."""
        models: list[Any] = [registered(Layer)[name] for name in ("Model", "Sequential")]
        if all(cls.__init__ is not model.__init__ for model in models):
            return cls(**options)  # also a model class with a constructor of its own
        model = cls(**{**options, "input_shape": None, "rng": 0})
        if options["input_shape"] is not None:
            self.unbuilt.append((model, _as_shape(options["input_shape"], cls.__name__)))
        return model


def _check_type(name: str, value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{name} must be {kind.__name__}, got {value!r}")
    return value


def _as_shape(value: Any, owner: str) -> Shape:
    """Return the shape of a row, or those of several inputs."""
    shape = tuple(
        _as_shape(n, owner) if isinstance(n, list) else _int_or_none("an axis of input_shape", n)
        for n in value
    )
    return as_input_shape(shape, owner)


def _int_or_none(name: str, value: Any) -> Any:
    return None if value is None else _check_type(name, value, int)


def _check_known(names: Iterable[str], known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"nothing in the model or the file is named {name!r}")
