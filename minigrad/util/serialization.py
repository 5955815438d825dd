"""Objects and random generators as configurations that JSON can hold, and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.util.config import Configurable, registered, same_class
from minigrad.util.lookup import guess
from minigrad.util.names import kind_of
from minigrad.util.random import RNG, rng_state, set_rng_state

Arrays: TypeAlias = dict[str, NDArray[Any]]
CustomObjects: TypeAlias = Mapping[str, Callable[..., Any]]


def to_config(value: Any, where: str, arrays: Arrays | None = None) -> Any:
    """Convert an option to what JSON can hold.

    `value` is a number, a string, an object with `get_config`, a function (only its name is kept),
    or a list, tuple or dict of these; any other type raises TypeError. `where` is the option in
    messages. `arrays` receives the arrays, which JSON can't hold; without it, they are refused.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and arrays is not None:
        name = f"array.{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Configurable):
        name, options = type(value).__name__, _checked_options(value)
        config = {key: to_config(v, f"{name}({key}=...)", arrays) for key, v in options.items()}
        return {"class": name, "config": config}
    if isinstance(value, (list, tuple)):
        return [to_config(item, where, arrays) for item in value]
    if isinstance(value, Mapping):
        return {"items": [to_config(pair, where, arrays) for pair in value.items()]}
    if inspect.isroutine(value):
        return {"function": value.__name__}
    raise TypeError(
        f"{where} is {kind_of(value)}, which a file can't hold: "
        "use a number, a string, an array, a function, or an object with get_config"
    )


def from_config(
    config: Any,
    custom_objects: CustomObjects | None = None,
    arrays: Arrays | None = None,
    *,
    make: Callable[[Any, Mapping[str, Any]], Any] = lambda cls, options: cls(**options),
) -> Any:
    """Create the object that `to_config` described; nothing in it is imported or run.

    `custom_objects` holds unregistered classes, and functions, which aren't called. `arrays` are
    those from `to_config`; each is removed when it is used. `make` creates each object from its
    class and options. An unknown name or a malformed `config` raises ValueError.
    """
    inner = partial(from_config, custom_objects=custom_objects, arrays=arrays, make=make)
    if isinstance(config, list):
        return [inner(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.keys() == {"array"}:
        if arrays is None or config["array"] not in arrays:
            raise ValueError(f"the array {config['array']!r} is missing, or used twice")
        return arrays.pop(config["array"])
    if config.keys() == {"items"}:
        return dict(inner(config["items"]))
    if config.keys() == {"function"}:
        return _find(config["function"], custom_objects or {}, "function")
    if config.keys() != {"class", "config"}:
        raise ValueError(f"expected a description with 'class' and 'config', got {sorted(config)}")
    name = config["class"]
    cls = _find(name, {**registered(Configurable), **(custom_objects or {})}, "class")
    # The file chooses the name and the arguments, so no other callable may be called.
    if not (isinstance(cls, type) and issubclass(cls, Configurable)):
        raise ValueError(
            f"custom_objects['{name}'] expects a subclass of Layer, Loss, Optimizer or another "
            f"Configurable to be made from a file, got {cls!r}"
        )
    options = {key: inner(v) for key, v in config["config"].items()}
    try:
        return make(cls, options)
    except TypeError as error:
        raise ValueError(f"{name} can't be made from {options}: {error}") from error


def _checked_options(value: Configurable) -> dict[str, Any]:
    """Return the configuration of an object; refuse one that can't be created again from it."""
    cls, options = type(value), value.get_config()
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__} can't be made from its get_config(): {error}; "
            "let __init__ take these arguments, or define get_config"
        ) from None
    known = registered(Configurable).get(cls.__name__, cls)
    if not same_class(known, cls):
        raise TypeError(
            f"another class named '{cls.__name__}' is registered ({known.__module__}), and a file "
            "can't tell the two apart: rename yours"
        )
    return options


def _find(name: Any, known: Mapping[str, Callable[..., Any]], kind: str) -> Callable[..., Any]:
    if not isinstance(name, str) or name not in known:
        way = "decorate it with @minigrad.register, or pass" if kind == "class" else "pass"
        meant = guess(str(name), known)
        raise ValueError(
            f"the {kind} '{name}' isn't known: {way} custom_objects={{'{name}': {name}}}"
            f"{meant and f'; {meant}'}"
        )
    return known[name]


_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
# NumPy takes any position, and would read beyond its buffer.
_LARGEST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1, "has_gauss": 1}


def describe_rng(rng: RNG) -> dict[str, Any]:
    """Return the type and the state of a random generator, for `restore_rng`."""
    state = rng_state(rng)
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise TypeError(
            f"the bit generator {state['bit_generator']} can't be saved: "
            f"use one of {', '.join(_BIT_GENERATORS)}"
        )
    return {"legacy": isinstance(rng, np.random.RandomState), "state": state}


def restore_rng(description: Mapping[str, Any]) -> RNG:
    """Return a random generator in the state that `describe_rng` returned."""
    state = description["state"]
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise ValueError(f"the bit generator {state['bit_generator']!r} isn't known")
    bits = getattr(np.random, state["bit_generator"])(0)  # a seed, so that no entropy is drawn
    rng = np.random.RandomState(bits) if description["legacy"] else np.random.Generator(bits)
    _check_state("state", state, rng_state(rng))
    set_rng_state(rng, state)
    return rng


def _check_state(name: str, value: Any, example: Any) -> None:
    """Refuse a random state that doesn't have the form of `example`."""
    fits = type(value) is type(example)
    if fits and isinstance(example, dict):
        if value.keys() != example.keys():
            raise ValueError(f"a random {name} has {sorted(example)}, got {sorted(value)}")
        for key in example:
            _check_state(key, value[key], example[key])
    elif fits and isinstance(example, np.ndarray):
        fits = value.shape == example.shape and value.dtype == example.dtype
    elif fits and isinstance(example, int):
        fits = 0 <= value <= _LARGEST.get(name, 2**128 - 1)
    if not fits:
        raise ValueError(f"a random state can't have {value!r} as its {name}")
