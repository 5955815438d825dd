"""A small thread pool, and the number of threads that it uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from functools import cache
from numbers import Integral
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from typing_extensions import Self

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")


class ThreadPool:
    """Calls a function for many items on several threads, the calling thread included.

    Args:
        threads: how many; one where no thread can be started.
        one_blas_thread: whether BLAS runs each product on the thread that calls it, whose own
            threads would compete with these. Inside `with`, this holds from the first call of
            `map` to the end, since threads of BLAS spin for a while after their last product.
    """

    def __init__(self, threads: int, *, one_blas_thread: bool = False) -> None:
        self.threads = threads if threads == 1 or can_start_threads() else 1
        self._one_blas_thread = one_blas_thread
        self._entered = False
        self._held: AbstractContextManager[None] | None = None
        self._executor: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[int, T], R], items: Sequence[T]) -> list[R]:
        """Return function(thread, item) for each item, in order.

        Thread t computes the items t, t + threads, ... The caller's NumPy error settings hold in
        each thread.
        """

        def share(thread: int) -> list[R]:
            with one_blas_thread() if self._one_blas_thread else nullcontext():
                return [function(thread, item) for item in items[thread :: self.threads]]

        if self._one_blas_thread:
            self.hold_blas()
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

    def hold_blas(self) -> None:
        """Inside `with`, give BLAS one thread from now to the end."""
        if self._entered and self._held is None:
            self._held = one_blas_thread()
            self._held.__enter__()

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
        self._entered = False
        if self._held is not None:
            self._held.__exit__(None, None, None)
            self._held = None

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@cache
def can_start_threads() -> bool:
    """Return whether a thread can be started; in a browser none can."""
    try:
        Thread(target=bool).start()
    except RuntimeError:
        return False
    return True


def thread_count(threads: int | None = None) -> int:
    """Return the number of threads: `threads`, else MINIGRAD_THREADS, else one for each core."""
    source = "threads"
    count: Any = threads
    if threads is None:
        source, given = "MINIGRAD_THREADS", os.environ.get("MINIGRAD_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        count = int(given) if given.isdecimal() else given or cores or 1
    if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
        raise ValueError(f"{source} expects an integer of at least 1, got {count!r}")
    return int(count)


_thread_counts: list[int] = []
"""The number of BLAS threads before each of the calls of `one_blas_thread` that are running."""
_thread_counts_lock = Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Have NumPy's BLAS run each product on the thread that calls it, until the last call ends.

    The number holds for the whole process.
    """
    if (functions := blas_functions()) is None:
        yield
        return
    get_threads, set_threads = functions
    with _thread_counts_lock:
        _thread_counts.append(_thread_counts[0] if _thread_counts else get_threads())
        set_threads(1)
    try:
        yield
    finally:
        with _thread_counts_lock:
            before = _thread_counts.pop()
            if not _thread_counts:
                set_threads(before)


@cache
def blas_functions() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """Return what gets and sets the number of threads of NumPy's own OpenBLAS, if it has one."""
    import ctypes
    from pathlib import Path

    folder = Path(np.__file__).parent
    for library in [
        *folder.parent.glob("numpy.libs/*openblas*"),
        *folder.glob(".dylibs/*openblas*"),
    ]:
        blas = ctypes.CDLL(str(library))
        for name in "scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads":
            if hasattr(blas, name.format("set")):
                return getattr(blas, name.format("get")), getattr(blas, name.format("set"))
    return None


def keep_freed_memory(size: int) -> None:
    """Have the C library keep the memory of freed arrays up to this size for the next ones.

    glibc returns it to the system, which clears it again for each new array, until a larger piece
    has been freed once. This one is never touched, so it costs nothing.
    """
    np.empty(size, np.uint8)
