"""Fixtures: a browser, and those that run a test once for each registered class, on a copy."""

import copy
from collections.abc import Iterator

import pytest
from hypothesis import settings

from browser import Browser
from helpers import all_slow_but
from registered_examples import (
    EXAMPLES,
    GRAPHS,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    ONE_OF_EACH,
    OPTIMIZERS,
    REGULARIZERS,
)

settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")  # `--hypothesis-profile default` tries others each time


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(params=LAYERS, ids=lambda e: f"{e[0]!r}-{e[1]}")
def layer_example(request):
    """A layer, not built, and the shape of its input."""
    return copy.deepcopy(request.param)


@pytest.fixture(params=[*LAYERS, *GRAPHS], ids=lambda e: f"{e[0]!r}-{e[1]}")
def any_layer_example(request):
    """A layer, also a graph or one with several inputs, and the shape or shapes of its input."""
    return copy.deepcopy(request.param)


@pytest.fixture(
    params=all_slow_but([*LAYERS, *GRAPHS], *ONE_OF_EACH), ids=lambda e: f"{e[0]!r}-{e[1]}"
)
def layer_of_each_class(request):
    """As `any_layer_example`, but only with `-m slow` more than one of each class."""
    return copy.deepcopy(request.param)


@pytest.fixture(params=LOSSES, ids=lambda e: f"{e[0]!r}-{e[2].ndim}d")
def loss_example(request):
    """A loss, predictions and targets."""
    return copy.deepcopy(request.param)


@pytest.fixture(params=INITIALIZERS, ids=repr)
def initializer(request):
    return copy.deepcopy(request.param)


@pytest.fixture(params=REGULARIZERS, ids=repr)
def regularizer(request):
    return copy.deepcopy(request.param)


@pytest.fixture(params=OPTIMIZERS, ids=repr)
def optimizer(request):
    return copy.deepcopy(request.param)


@pytest.fixture(params=EXAMPLES, ids=repr)
def example(request):
    """Any object whose class is registered."""
    return copy.deepcopy(request.param)


@pytest.fixture
def examples():
    """All of them."""
    return copy.deepcopy(EXAMPLES)
