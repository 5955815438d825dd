"""Packages of extras, which are imported only by the modules that need them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version


@contextmanager
def needs(owner: str, requirement: str, extra: str) -> Iterator[None]:
    """Raise ImportError with the install command if a package is missing or too old.

    >>> with needs("my_module", "numpy>=99.1", "fast"):  # doctest: +ELLIPSIS
    ...     import numpy
    Traceback (most recent call last):
    ...
    ImportError: my_module needs numpy>=99.1, got ...: pip install -U 'minigrad[fast]'
    """
    package, _, least = requirement.partition(">=")
    try:
        found = version(package)
        if _numbers(found) >= _numbers(least):
            yield
            return
    except ImportError as error:  # PackageNotFoundError is one, too
        raise ImportError(
            f"{owner} needs {requirement}: pip install 'minigrad[{extra}]'"
        ) from error
    raise ImportError(
        f"{owner} needs {requirement}, got {found}: pip install -U 'minigrad[{extra}]'"
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
