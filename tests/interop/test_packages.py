"""An adapter whose package is missing or too old gives the install command."""

import importlib
import sys

import pytest

from helpers import says

ADAPTERS = {
    "keras": "keras",
    "onnx": "onnx",
    "sklearn": "sklearn",
    "tensorboard": "tensorboardX",
    "torch": "torch",
    "tqdm": "tqdm",
}


@pytest.mark.parametrize(("adapter", "package"), ADAPTERS.items())
class TestPackage:
    def test_missing(self, adapter, package, monkeypatch) -> None:
        monkeypatch.delitem(sys.modules, f"minigrad.interop.{adapter}", raising=False)
        monkeypatch.setitem(sys.modules, package, None)
        with says(ImportError, f"minigrad.interop.{adapter} needs", "pip install "):
            importlib.import_module(f"minigrad.interop.{adapter}")

    def test_too_old(self, adapter, package, monkeypatch) -> None:
        monkeypatch.delitem(sys.modules, f"minigrad.interop.{adapter}", raising=False)
        monkeypatch.setattr(pytest.importorskip(package), "__version__", "0.9.1")
        with says(ImportError, "0.9.1", "pip install ", "--upgrade"):
            importlib.import_module(f"minigrad.interop.{adapter}")
