"""The playground among the pages: Python runs in the browser.

`live_pyodide` is the address of Pyodide, and `live_packages` names what it loads. By default these
are in Pyodide's own network; a school can have a copy.
"""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from minigrad.playground.site import PACKAGES, PYODIDE, write_site


def write_playground(app: Sphinx, error: Exception | None) -> None:
    """Write the playground beside the pages."""
    if error is None and app.builder.name == "html":
        folder, config = Path(app.outdir, "playground"), app.config
        write_site(folder, pyodide=config.live_pyodide, packages=config.live_packages)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the options, and write the playground at the end."""
    app.add_config_value("live_pyodide", PYODIDE, "html", types=(str,))
    app.add_config_value("live_packages", PACKAGES, "html", types=(tuple, list))
    app.connect("build-finished", write_playground)
    return {"parallel_read_safe": True}
