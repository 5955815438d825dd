"""Configuration of the documentation: python -m sphinx -W docs docs/_build."""

import sys
from pathlib import Path

import minigrad

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "minigrad"
author = "The minigrad authors"
release = version = minigrad.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mathml",
    "plaintext",
    "signatures",
]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "minigrad"
html_static_path = ["_static"]
html_css_files = ["math.css"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
aliases = (
    "Array ArrayLike Batches Branch DTypeLike EpochFunction InitializerLike Metric NDArray RNG "
    "RNGLike Shape Verbose"
)
autodoc_type_aliases = {name: name for name in aliases.split()}
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "literal"
