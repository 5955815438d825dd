"""From a model's description and its arrays to the model, whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from types import NoneType
from typing import Any, TypeAlias

import numpy as np

from minigrad.core.layer import Layer, walk
from minigrad.core.layer import replace as exchange
from minigrad.core.model import Sequential
from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array, Shape
from minigrad.regularizers import Regularizer
from minigrad.saving.description import from_config, make
from minigrad.saving.generators import rebuild_rng
from minigrad.saving.weights import Tensors, arrays_of, fill, first_paths
from minigrad.util.config import Configurable
from minigrad.util.paths import apart, join
from minigrad.util.random import RNG, is_rng

VERSION = 1
"""Of the format; a file of another one is refused."""

CustomObjects: TypeAlias = Mapping[str, Callable[..., Any]]

_MODEL: dict[str, set[type]] = {
    "architecture": {dict},
    "names": {dict},
    "shared": {dict},
    "penalties": {dict},
    "frozen_layers": {list},
    "frozen_parameters": {list},
    "compiled": {dict, NoneType},
    "generators": {list},
    "generator_places": {list},
    "entropy": {dict},
    "split_seed": {int, NoneType},
    "history": {list},
    "planned": {int, NoneType},
}
_COMPILED: dict[str, set[type]] = {
    "optimizer": {dict},
    "loss": {dict},
    "metrics": {list},
    "steps": {int},
    "state": {list},
}


def described(metadata: Mapping[str, str]) -> Any:
    """Return the description in a file's metadata.

    Raises:
        ValueError: there is none, or none of this version.
    """
    import json

    from minigrad import __version__

    if metadata.get("format") != "minigrad":
        raise ValueError(
            "it holds tensors and no minigrad model: make the model, and call load_weights"
        )
    version = metadata.get("version")
    if version != str(VERSION):
        raise ValueError(
            f"it was written by minigrad {metadata.get('minigrad')}, in version {version} of the "
            f"format, and minigrad {__version__} reads version {VERSION}: "
            "pip install --upgrade minigrad"
        )
    return json.loads(metadata["model"])


def rebuild(document: Any, tensors: Tensors, custom_objects: CustomObjects) -> Sequential:
    """Make the model that `document` describes; each of `tensors` is taken out for its place.

    Raises:
        Exception: of any kind, where this isn't what `save` writes.
    """
    _check_fields("the model", document, _MODEL)
    rebuilding = _Rebuilding(document, tensors, custom_objects)
    model = rebuilding.construct()
    rebuilding.build(model)
    rebuilding.fill(arrays_of(model))
    rebuilding.restore_parameters(model)
    rebuilding.restore_generators(model)
    rebuilding.restore_training(model)
    if tensors:
        raise ValueError(f"arrays that have no place in the model: {sorted(tensors)[:5]}")
    return model


class _Rebuilding:
    """One load: what the file says of a model, and each step in which the model takes it up."""

    def __init__(
        self, document: dict[str, Any], tensors: Tensors, custom_objects: CustomObjects
    ) -> None:
        self.document = document
        self.tensors = tensors
        self.custom_objects = custom_objects
        self.unbuilt: list[tuple[Sequential, Shape]] = []

    def construct(self) -> Sequential:
        """Make all layers, and build none."""
        model = self._make(self.document["architecture"])
        if not isinstance(model, Sequential):
            raise TypeError(f"expected a Sequential, got {model!r}")
        _name(model, self.document["names"])
        return model

    def build(self, model: Sequential) -> None:
        """Build from the file's arrays, so that no shape is believed before one of them has it."""
        shared = self.document["shared"]
        stored: defaultdict[str, dict[str, Array]] = defaultdict(dict)
        _check_known(shared.values(), self.tensors)
        for name in [*self.tensors, *shared]:
            path, attribute = apart(name)
            stored[path][attribute] = self.tensors[shared.get(name, name)]
        layers = list(walk(model))
        firsts: dict[str, Parameter] = {}
        for path, layer in layers:
            for name in layer.buffers:
                if join(path, name) in shared:  # many could stand for one array
                    raise ValueError(f"'{join(path, name)}' can't be shared: it is no parameter")
            layer.file_arrays = stored[path]
            _share_when_built(layer, path, shared, firsts)
        for sequential, input_shape in self.unbuilt:
            sequential.build_for(input_shape)
        for _, layer in layers:
            del layer.file_arrays, vars(layer)["build"]
        if first_paths(model) != shared:
            raise ValueError(f"the model can't share its parameters so: {shared}")

    def restore_parameters(self, model: Sequential) -> None:
        """Set what is said of parameters: which are frozen, and their penalties."""
        layers, parameters = dict(walk(model)), dict(model.named_parameters())
        frozen, penalties = set(self.document["frozen_parameters"]), self.document["penalties"]
        _check_known(frozen | penalties.keys(), parameters)
        _check_known(self.document["frozen_layers"], layers)
        for path in self.document["frozen_layers"]:
            layers[path].trainable = False
        for path, parameter in parameters.items():
            parameter.trainable = path not in frozen
            penalty = self._make(penalties.get(path))
            if not isinstance(penalty, (Regularizer, NoneType)):
                raise TypeError(f"expected a penalty for '{path}', got {penalty!r}")
            if repr(penalty) != repr(parameter.regularizer):  # else it stays its layer's own object
                parameter.regularizer = penalty

    def restore_generators(self, model: Sequential) -> None:
        """Give each layer its random generator, and those that had the same one the same."""
        generators = [rebuild_rng(self._make(d)) for d in self.document["generators"]]
        places: dict[tuple[str, str], RNG] = {
            (path, name): generators[index]
            for path, name, index in self.document["generator_places"]
        }
        entropy = self.document["entropy"]
        layers = dict(walk(model))
        _check_known(entropy, layers)
        for path, layer in layers.items():
            for name in [name for name, value in vars(layer).items() if is_rng(value)]:
                if (path, name) not in places:
                    raise ValueError(f"the random state of {layer.label} ({name}) is missing")
                setattr(layer, name, places.pop((path, name)))
            if isinstance(layer, Sequential):
                layer.seed = entropy.get(path)
                _check_type(f"the entropy of '{path}'", layer.seed, {int, NoneType})
        if places:
            raise ValueError(f"random states that have no layer: {[*places][:5]}")
        model.split_seed = self.document["split_seed"]

    def restore_training(self, model: Sequential) -> None:
        """Compile the model, and set how far its training came."""
        for name in self.document["history"]:
            figures = self.tensors.pop(f"history.{name}", None)
            if figures is None or figures.dtype != np.float64 or figures.ndim != 1:
                raise ValueError(f"expected a row of F64 as 'history.{name}', got {figures!r}")
            model.history[name] = figures.tolist()
        model.planned_epochs = self.document["planned"]
        compiled = self.document["compiled"]
        if compiled is None:
            return
        _check_fields("'compiled'", compiled, _COMPILED)
        optimizer, loss = self._make(compiled["optimizer"]), self._make(compiled["loss"])
        model.compile(optimizer=optimizer, loss=loss, metrics=self._make(compiled["metrics"]))
        if not 0 <= compiled["steps"] < 2**63:
            raise ValueError(f"a count of steps can't be {compiled['steps']}")
        optimizer.steps = compiled["steps"]
        _check_known(compiled["state"], optimizer.slots)
        state = {name: np.empty_like(model.parameters.value) for name in compiled["state"]}
        self.fill({f"optimizer.{name}": vector for name, vector in state.items()})
        optimizer.state = state

    def fill(self, own: Tensors) -> None:
        """Copy the arrays that the file has by these names."""
        fill(own, {n: self.tensors.pop(n) for n in own if n in self.tensors}, casting="no")

    def _make(self, description: Any) -> Any:
        return from_config(description, self.custom_objects, self.tensors, make=self._made)

    def _made(self, cls: type[Configurable], options: Mapping[str, Any]) -> Configurable:
        if issubclass(cls, Sequential) and cls.__init__ is Sequential.__init__:
            return self._sequential(cls, **options)
        return make(cls, options)

    def _sequential(
        self,
        cls: type[Sequential],
        *,
        layers: list[Layer],
        input_shape: list[int] | None,
        rng: None,
        dtype: str,
        name: str,
    ) -> Sequential:
        model = cls(layers, rng=0, dtype=dtype, name=name)  # a seed, as None would draw entropy
        if input_shape is not None:
            for axis in input_shape:
                _check_type("an axis of input_shape", axis, {int})
            self.unbuilt.append((model, tuple(input_shape)))
        return model


def _name(model: Layer, names: Mapping[str, Any]) -> None:
    """Name all layers as they were, also those whose config doesn't tell their name."""
    for path, layer in walk(model):  # which asks for the children's names when they have them
        told = names.get(path, ())
        for child, name in zip(layer.children, told, strict=False):  # `build` may make more
            _check_type(f"a name in '{path}'", name, {str})
            child.name = name


def _share_when_built(
    layer: Layer, path: str, shared: Mapping[str, str], firsts: dict[str, Parameter]
) -> None:
    """Make `build` end with the parameters that other layers share with this one.

    So they are there before a container, which builds them all, looks for what they share.
    """
    build = layer.build

    def build_and_share(input_shape: Shape, rng: RNG) -> Shape:
        output_shape = build(input_shape, rng)
        for attribute, own in layer.own_parameters():
            name = join(path, attribute)
            first = firsts.setdefault(shared.get(name, name), own)
            if first.shape != own.shape:
                raise ValueError(f"'{name}' can't share the {first!r} of another layer")
            if first is not own:
                exchange(layer, own, first)
        return output_shape

    vars(layer)["build"] = build_and_share


def _check_fields(name: str, value: Any, fields: Mapping[str, set[type]]) -> None:
    _check_type(name, value, {dict})
    if value.keys() != fields.keys():
        raise ValueError(f"{name} must have {sorted(fields)}, got {sorted(value)}")
    for key, kinds in fields.items():
        _check_type(f"'{key}'", value[key], kinds)


def _check_type(name: str, value: Any, kinds: set[type]) -> None:
    if type(value) not in kinds:
        wanted = " or ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"{name} must be {wanted}, got {value!r}")


def _check_known(names: Iterable[str], known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"nothing in the model or the file is named {name!r}")
