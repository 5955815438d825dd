"""A small thread pool, and the number of threads that it uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import copy_context
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from typing_extensions import Self

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")


class ThreadPool:
    """Calls a function for many items on several threads, the calling thread included."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._executor: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[int, T], R], items: Sequence[T]) -> list[R]:
        """Return function(thread, item) for each item, in order.

        Thread t computes the items t, t + threads, ... The caller's NumPy error settings hold in
        each thread.
        """

        def share(thread: int) -> list[R]:
            return [function(thread, item) for item in items[thread :: self.threads]]

        if self.threads > 1 and self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.threads - 1, "minigrad")
        others = [
            self._executor.submit(copy_context().run, share, thread)
            for thread in range(1, self.threads)
            if self._executor is not None
        ]
        try:
            shares = [share(0)]
        finally:
            rest = [other.result() for other in others]
        shares += rest
        return [shares[i % self.threads][i // self.threads] for i in range(len(items))]

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def thread_count(threads: int | None = None) -> int:
    """Return the number of threads: `threads`, else MINIGRAD_THREADS, else one for each core."""
    source = "threads"
    count: Any = threads
    if threads is None:
        source, given = "MINIGRAD_THREADS", os.environ.get("MINIGRAD_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        count = int(given) if given.isdecimal() else given or cores or 1
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{source} must be an integer of at least 1, got {count!r}")
    return int(count)


def keep_freed_memory(size: int) -> None:
    """Have the C library keep the memory of freed arrays up to this size for the next ones.

    glibc returns it to the system, which clears it again for each new array, until a larger piece
    has been freed once. This one is never touched, so it costs nothing.
    """
    np.empty(size, np.uint8)
