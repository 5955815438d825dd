"""Atomic writes: an interruption leaves the complete old file or the complete new file."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]
WINDOWS = os.name == "nt"


def check_path(path: StrPath) -> str:
    """Return a path as text; refuse an int, which `open` would take as a file descriptor."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"expected a path (str or os.PathLike), got {path!r}")
    return os.fsdecode(path)


def atomic_write(path: StrPath, chunks: Iterable[bytes | memoryview]) -> None:
    """Write chunks of bytes to a file, replacing the old file in one step.

    The chunks go to a temporary file in the same folder, which is renamed to `path` once the disk
    holds all of it. On any exception, Ctrl-C included, the temporary file is removed. A killed
    process leaves it behind, as ``.NAME.RANDOM.tmp``, and a later write of the same file removes
    it (not on Windows). A symbolic link is followed: its target is replaced. The permissions of an
    old file are kept.

    Raises:
        TypeError: `path` isn't a path.
        OSError: the folder is missing, the file is write-protected or not a regular file (a
            folder, a device), or the disk is full.
    """
    target = os.path.realpath(check_path(path))
    folder, name = os.path.split(target)
    permissions = _permissions(target, folder)
    start = f".{name[:40]}."
    _remove_leftovers(folder, start)
    temporary = os.path.join(folder, f"{start}{os.urandom(8).hex()}.tmp")

    def create(file: str, flags: int) -> int:
        # The temporary file is never more accessible than the old file.
        return os.open(file, flags, 0o666 if permissions is None else permissions)

    try:
        with open(temporary, "xb", opener=create) as file:
            _lock(file.fileno())
            if permissions is not None:
                os.chmod(temporary, permissions)
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
            if WINDOWS:
                file.close()  # Windows renames closed files only
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    with suppress(OSError):  # the new name survives a power cut where folders can be synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _lock(file: int) -> bool:
    """Return whether this process could lock an open file; a lock ends with its process."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        flock(file, LOCK_EX | LOCK_NB)
    except (ImportError, OSError):  # Windows, or a file system without locks
        return False
    return True


def _remove_leftovers(folder: str, start: str) -> None:
    """Remove the temporary files of killed processes: nobody locks them, and they aren't new."""
    leftover = re.compile(re.escape(start) + r"[0-9a-f]{16}\.tmp")
    with suppress(OSError):
        for name in filter(leftover.fullmatch, os.listdir(folder)):
            path = os.path.join(folder, name)
            with suppress(OSError), open(path, "rb") as file:
                # A process creates a file a moment before it locks it.
                if time.time() - os.fstat(file.fileno()).st_mtime > 10 and _lock(file.fileno()):
                    os.unlink(path)


def _permissions(target: str, folder: str) -> int | None:
    """Return the permission bits of the old file, None if there is none."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        if os.path.isdir(folder):
            return None
        message = "expected an existing folder, make it first"
        raise FileNotFoundError(errno.ENOENT, message, folder) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "expected a file to write, got a folder", target)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "expected a regular file, got a device or pipe", target)
    # A rename needs permission for the folder only, so the file's is checked here.
    if not os.access(target, os.W_OK):
        message = "the file is write-protected, allow writing or choose another name"
        raise PermissionError(errno.EACCES, message, target)
    return stat.S_IMODE(mode)
