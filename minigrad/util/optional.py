"""Optional packages, imported where they are needed."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any


def optional(module: str, user: str, *, packages: str = "", least: str = "0") -> Any:
    """Import a module for `user`, or raise ImportError with the command that installs it.

    Args:
        module: such as "matplotlib.pyplot".
        user: what needs it, for the message.
        packages: what to install; by default the package that the module is in.
        least: the oldest version of the package that serves.

    >>> optional("no_such_package", "plots.history")
    Traceback (most recent call last):
    ...
    ImportError: plots.history needs no_such_package: pip install no_such_package
    """
    package = module.partition(".")[0]
    way = f"pip install {packages or package}"
    try:
        imported = import_module(module)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        cause = "" if missing == package else f" ({error})"
        raise ImportError(f"{user} needs {package}{cause}: {way}") from error
    version: str = getattr(import_module(package), "__version__", least)
    if _numbers(version) < _numbers(least):
        raise ImportError(
            f"{user} expects {package} {least} or newer, got {version}: {way} --upgrade"
        )
    return imported


def _numbers(version: str) -> list[int]:
    """Return the numbers that a version begins with, of "2.13.0+cpu" 2, 13 and 0."""
    return [int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:3]]
