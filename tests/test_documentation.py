"""The lists of the documentation: each has all classes of its kind."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import minigrad
from minigrad.util.config import registered

pytest.importorskip("sphinx")
DOCS = Path(__file__).parent.parent / "docs"
KINDS = [
    minigrad.Layer, minigrad.Loss, minigrad.Optimizer, minigrad.Schedule,
    minigrad.Initializer, minigrad.Regularizer, minigrad.Callback,
]  # fmt: skip


@pytest.fixture
def listing(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    yield __import__("listing")
    del sys.modules["listing"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_built_in_classes_are_listed(listing, kind):
    public = {name: getattr(minigrad, name) for name in minigrad.__all__}
    found = {name: c for name, c in public.items() if isinstance(c, type) and issubclass(c, kind)}
    found |= {n: c for n, c in registered(kind).items() if c.__module__.startswith("minigrad.")}
    assert found
    assert found.keys() - {kind.__name__} <= listing.classes(kind).keys()


@pytest.mark.parametrize("kind", [*KINDS, minigrad.metrics.METRICS])
def test_the_last_list_of_a_kind_has_all_that_others_left(kind):
    name = "metrics.METRICS" if isinstance(kind, dict) else kind.__name__
    pages = "\n".join(page.read_text("utf-8") for page in sorted((DOCS / "lists").glob("*.md")))
    found = re.findall(rf"{{listing}} minigrad\.{name}\n(:modules:|```)", pages)
    assert found[-1] == "```"
