"""The code blocks of the README are a test: they run in order, as one program."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

collect_ignore_glob = ["tests/typed/*.py", "tests/jit/process.py"]
if find_spec("jax") is None:
    collect_ignore_glob += ["minigrad/jit/*", "tests/jit/*"]


def enter_a_folder_of_its_own(namespace: dict[str, Any]) -> None:
    """Let the README write its files where nobody minds."""
    namespace["_home"], namespace["_folder"] = Path.cwd(), TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def leave_it(namespace: dict[str, Any]) -> None:
    """Go back, and clean up."""
    os.chdir(namespace["_home"])
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md"],
    setup=enter_a_folder_of_its_own,
    teardown=leave_it,
).pytest()


@pytest.fixture(autouse=True)
def _registered_in_its_example_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forget the classes that a docstring's example registers."""
    yield
    if isinstance(request.node, pytest.DoctestItem):
        from minigrad.util.config import _REGISTERED

        for name, cls in [*_REGISTERED.items()]:
            module = sys.modules.get(cls.__module__)
            if module is not None and not hasattr(module, name):
                del _REGISTERED[name]
