"""A few threads that work on one batch's blocks together, and the count of them that pays."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import copy_context
from numbers import Integral
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_VARIABLE = "MINIGRAD_THREADS"


def thread_count(asked: int | None = None) -> int:
    """Return how many threads to use: as asked, or as MINIGRAD_THREADS says, or one a core.

    Raises:
        ValueError: not a whole number of at least 1.

    >>> thread_count(2)
    2
    """
    source: str = "threads"
    given: object = asked
    if asked is None:
        source, given = _VARIABLE, os.environ.get(_VARIABLE) or _cores()
    count = int(given) if isinstance(given, str) and given.isdecimal() else given
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{source} must be a whole number of at least 1, got {given!r}")
    return int(count)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """Runs a job on each of several threads, the calling one among them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def run(self, job: Callable[[int], None]) -> None:
        """Call job(0), job(1), ... up to the number of threads, at once; return when all ended.

        NumPy's error settings are the caller's in each of them.
        """
        if self.threads > 1 and self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.threads - 1, "minigrad")
        others = [
            self._pool.submit(copy_context().run, job, member)
            for member in range(1, self.threads)
            if self._pool is not None
        ]
        try:
            job(0)
        finally:
            for other in others:
                other.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
