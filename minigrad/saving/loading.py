"""Loading: a model is created from its description, built with zeros, and filled."""

from __future__ import annotations

import json
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from types import NoneType
from typing import Any

import numpy as np
from typing_extensions import override

from minigrad.core.layer import build_once, walk
from minigrad.core.model import BaseModel
from minigrad.data.arrays import Array, Shape, as_input_shape
from minigrad.initializers import Substitute
from minigrad.models.model import Model
from minigrad.models.sequential import Sequential
from minigrad.models.sharing import first_paths, replace
from minigrad.regularizers import Regularizer
from minigrad.saving import safetensors
from minigrad.saving.model import VERSION, generators_of
from minigrad.saving.weights import arrays_of, fill, refuse
from minigrad.util.atomic import StrPath
from minigrad.util.names import join
from minigrad.util.serialization import Arrays, CustomObjects, from_config, restore_rng

_DEEPEST = 500
"""Of the brackets in a model's description, where a layer in a layer has four more."""


def load(path: StrPath, custom_objects: CustomObjects, *, compiled: bool = True) -> Model:
    """Return the model in a file; see `minigrad.load`."""
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
                f"version {VERSION}: update minigrad"
            )
        safetensors.check_depth(metadata["model"], _DEEPEST, "model")
        document = json.loads(metadata["model"])
        if not compiled:
            document = _without_training(document, tensors)
        loader = _Loader(document, tensors, custom_objects)
        model = loader.model()
    for name in loader.left_out:
        warnings.warn(
            f"the metric '{name}' is a function, which a file can't hold, and the model is loaded "
            f"without it: pass custom_objects={{'{name}': {name}}} to keep it",
            stacklevel=3,
        )
    return model


class Blank(np.random.Generator, Substitute):
    """A random generator that replaces each initial array by zeros, `left` elements in all."""

    def __init__(self, left: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = left

    @override
    def initial(self, shape: Shape, label: str) -> Array:
        """Return zeros, or refuse before memory is taken for more elements than are left."""
        self.left -= prod(n or 0 for n in shape)
        if self.left < 0:
            raise ValueError(f"{label} has shape {shape}, which is more than the file holds")
        return np.zeros(shape)


@dataclass
class _Loader:
    """The load of one file; each of its tensors is removed once it is used."""

    document: Any
    tensors: Arrays
    custom_objects: CustomObjects
    unbuilt: list[tuple[Model, Shape]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def model(self) -> Model:
        """Return the model; any exception may be raised if the file isn't from `save`."""
        model = self.make(self.document["architecture"])
        if not isinstance(model, Model):
            raise TypeError(f"expected a model such as Sequential, got {model!r}")
        for path, layer in walk(model):  # `walk` reads the names of children after they are set
            names = self.document["names"].get(path, ())
            for child, name in zip(layer.children, names, strict=False):
                child.name = _checked(f"a name in '{path}'", name, str)
        self.build(model)
        self.fill(arrays_of(model))
        self.restore_layers(model)
        self.restore_training(model)
        if self.tensors:
            raise ValueError(f"the model has no place for the arrays {sorted(self.tensors)[:5]}")
        return model

    def build(self, model: Model) -> None:
        """Build the layers with zeros, restore sharing, and gather the parameters in vectors."""
        shared = self.document["shared"]
        _check_known(shared.values(), self.tensors)
        held = [*self.tensors.values(), *(self.tensors[first] for first in shared.values())]
        blank = Blank(sum(array.size for array in held))
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

    def restore_layers(self, model: Model) -> None:
        """Restore what is frozen, the regularizers, and the generators with their sharing."""
        document, layers, parameters = self.document, dict(walk(model)), [*model.named_parameters()]
        frozen, seeds = set(document["frozen_parameters"]), document["entropy"]
        factors = document.get("factor_parameters", {})
        _check_known([*document["frozen_layers"], *seeds], layers)
        _check_known([*frozen, *factors, *document["penalties"]], dict(parameters))
        generators = [restore_rng(self.make(state)) for state in document["generators"]]
        places = {(path, name): generators[i] for path, name, i in document["generator_places"]}
        for path in document["frozen_layers"]:
            layers[path].trainable = False
        for path, factor in document.get("factor_layers", {}).items():
            layers[path].learning_rate_factor = factor
        for path, parameter in parameters:
            parameter.trainable = path not in frozen
            parameter.learning_rate_factor = factors.get(path, 1.0)
            regularizer = self.make(document["penalties"].get(path))
            if not isinstance(regularizer, Regularizer | None):
                raise TypeError(f"'{path}' expects a regularizer, got {regularizer!r}")
            if repr(regularizer) != repr(parameter.regularizer):  # else it stays the layer's own
                parameter.regularizer = regularizer
        for path, layer in layers.items():
            for name, _ in generators_of(layer):
                if (path, name) not in places:
                    raise ValueError(f"the random state of {layer.label} ({name}) is missing")
                setattr(layer, name, places.pop((path, name)))
            if isinstance(layer, BaseModel):
                layer.seed = _checked("entropy", seeds.get(path), int, NoneType)
        if places:
            raise ValueError(f"no layer has the random states {[*places][:5]}")
        model.validation_seed = _checked("split_seed", document["split_seed"], int, NoneType)

    def restore_training(self, model: Model) -> None:
        """Compile the model, and restore the state of the optimizer and the history."""
        compiled = self.document["compiled"]
        if compiled is not None:
            optimizer, loss = self.make(compiled["optimizer"]), self.make(compiled["loss"])
            model.compile(optimizer=optimizer, loss=loss, metrics=self.metrics(compiled["metrics"]))
            optimizer.steps = _checked("steps", compiled["steps"], int)
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
        planned = _checked("planned", self.document["planned"], int, NoneType)
        if model.trainer:
            model.trainer.epochs = model.history.epochs if planned is None else planned

    def metrics(self, descriptions: list[Any]) -> list[Any]:
        """Return the metrics, without the functions that aren't known, which are `left_out`."""
        functions = {_function_of(description) for description in descriptions} - {""}
        self.left_out = sorted(functions - self.custom_objects.keys())
        return [self.make(d) for d in descriptions if _function_of(d) not in self.left_out]

    def fill(self, own: Arrays) -> None:
        """Copy the file's arrays of these names into the model's."""
        fill(own, {n: self.tensors.pop(n) for n in own if n in self.tensors}, casting="no")

    def make(self, description: Any) -> Any:
        """Create what a part of the document describes."""
        return from_config(description, self.custom_objects, self.tensors, make=self.create)

    def create(self, cls: Any, options: Mapping[str, Any]) -> Any:
        """Create an object; a model stays unbuilt, and gets a seed, as None would draw entropy."""
        if cls.__init__ not in (Model.__init__, Sequential.__init__):
            return cls(**options)  # also a model class with a constructor of its own
        model = cls(**{**options, "input_shape": None, "rng": 0})
        if options["input_shape"] is not None:
            _check_axes(options["input_shape"])
            self.unbuilt.append((model, as_input_shape(options["input_shape"], cls.__name__)))
        return model


def _without_training(document: Any, tensors: Arrays) -> Any:
    """Return the description of a model that isn't compiled, and drop the arrays of training."""
    compiled = document["compiled"]
    state = compiled["state"] if compiled else []
    names = [f"optimizer.{name}" for name in state] + [f"history.{n}" for n in document["history"]]
    for name in [*names, *_arrays_in(compiled)]:
        tensors.pop(name, None)
    return {**document, "compiled": None, "history": [], "planned": None}


def _arrays_in(description: Any) -> Iterator[str]:
    """Yield the names of the arrays among the options in a description."""
    if isinstance(description, dict) and description.keys() == {"array"}:
        yield description["array"]
    elif isinstance(description, (dict, list)):
        items = description.values() if isinstance(description, dict) else description
        for item in items:
            yield from _arrays_in(item)


def _function_of(description: Any) -> str:
    """Return the name of a function that was a metric, also of one output; else nothing."""
    while isinstance(description, dict) and description.get("class") == "OfOutput":
        description = description["config"]["metric"]
    named = isinstance(description, dict) and description.keys() == {"function"}
    return str(description["function"]) if named else ""


def _check_axes(shape: list[Any]) -> None:
    """Refuse axes that aren't integers, in the shape of one input or of several."""
    for n in shape:
        if isinstance(n, list):
            _check_axes(n)
        else:
            _checked("an axis of input_shape", n, int, NoneType)


def _checked(name: str, value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError(f"{name} must be {kinds[0].__name__}, got {value!r}")
    return value


def _check_known(names: Iterable[str], known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"nothing in the model or the file is named {name!r}")
