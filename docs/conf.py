"""Configuration of the documentation: python -m sphinx -W docs docs/_build/html.

A page with code starts with this header, and its blocks are run in order, as one program, in a
folder of its own. The page shows what they print, and the value of the last line of each:

    ---
    file_format: mystnb
    kernelspec:
      name: python3
    ---

    ```{code-cell}
    model.film(x, y, epochs=50, verbose=0)
    ```

The pages of the tutorial begin with the header of jupytext, and can be downloaded as notebooks.

A block that fails, or that writes to the standard error, fails the build. Code that is shown and
not run stands in a ```python block. Options come first in a block: `:tags: [hide-input]` folds its
code, `:tags: [remove-input]` shows the output alone. A picture needs an alternative text:

    ```{code-cell}
    ---
    mystnb:
      image:
        alt: The loss falls from 0.2 to 0.001
    ---
    history.plot();
    ```

Figures, explanations, films, models, histories and diagnoses display themselves. They follow the
switch between the light and the dark theme.
"""

import os
import sys
from hashlib import sha256
from pathlib import Path

import minigrad

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
os.environ["IPYTHONDIR"] = str(HERE / "_ipython")  # its startup file shows figures

os.environ.setdefault("KERAS_BACKEND", "torch")  # for the reference of minigrad.interop.keras

project = "minigrad"
author = "The minigrad authors"
release = version = minigrad.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "classes",
    "gallery",
    "listing",
    "live",
    "mathml",
    "notebooks",
    "plaintext",
    "signatures",
    "social",
]
exclude_patterns = ["_build", "_ipython"]
default_role = "literal"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The outputs of a page are kept until its code, or minigrad, changes.
kinds = {".py", ".js", ".css", ".html"}
sources = [path for path in Path(minigrad.__file__).parent.rglob("*") if path.suffix in kinds]
digest = sha256(b"".join(path.read_bytes() for path in sorted(sources)))
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "outputs" / digest.hexdigest()[:12])
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_output_stderr = "warn"

html_theme = "furo"
html_title = "minigrad"
html_favicon = "_static/favicon.svg"
html_baseurl = os.environ.get("DOCS_URL", "")  # of the published site, for the cards of links to it
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["frames.js"]

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
