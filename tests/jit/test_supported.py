"""The list of what the JAX engine compiles is what running it gives."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("jax")

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_list_is_what_running_gives() -> None:
    """With other versions of NumPy and JAX, the list may differ, but no number may."""
    made = runpy.run_path(str(DOCS / "engine_table.py"))["table"]()
    page = (DOCS / "lists" / "jax_engine.md").read_text()
    if made.splitlines()[0] in page:
        assert made in page
