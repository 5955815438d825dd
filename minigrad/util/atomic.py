"""An atomic write leaves the old file or the new one, whole, wherever it is interrupted."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress


def atomic_write(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write `chunks`, one after another, as the file `path`.

    They go to a temporary file in the same folder, which takes the place of the old file in
    one step once the disk holds all of it. On any exception, Ctrl-C included, the temporary
    file is removed; only a killed process leaves it behind, as ``.NAME.RANDOM.tmp``.

    A symbolic link is followed: its target is replaced, the link stays. An old file's
    permissions are kept; a new file's come from the umask.

    Args:
        path: the file to make or replace; its folder must exist and be writable.
        chunks: the contents; they may be made on the way.

    Raises:
        OSError: if the folder is missing, the file is write-protected or not a regular file
            (a folder, a device), or the disk is full.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "greeting.txt")
    ...     atomic_write(path, [b"Hello, ", b"world"])
    ...     path.read_text(), os.listdir(folder)
    ('Hello, world', ['greeting.txt'])
    """
    target = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(target)
    old = _permissions(target)
    temporary = os.path.join(folder, f".{name[:40]}.{os.urandom(8).hex()}.tmp")

    def create(file: str, flags: int) -> int:
        # Never more open than the old file, not even while it is written.
        return os.open(file, flags, 0o666 if old is None else old)

    try:
        with open(temporary, "xb", opener=create) as file:
            if old is not None:
                os.chmod(temporary, old)
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _permissions(target: str) -> int | None:
    """The permission bits of the file about to be replaced, None if there is none yet."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        folder = os.path.dirname(target)
        if os.path.isdir(folder):
            return None
        message = "expected an existing folder, make it first"
        raise FileNotFoundError(errno.ENOENT, message, folder) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "expected a file to write, got a folder", target)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "expected a regular file, got a device or pipe", target)
    # Replacing asks only for the folder's permission; a write-protected file is meant to stay.
    if not os.access(target, os.W_OK):
        message = "the file is write-protected, allow writing or choose another name"
        raise PermissionError(errno.EACCES, message, target)
    return stat.S_IMODE(mode)


def _sync_folder(folder: str) -> None:
    # Makes the new name last through a power cut; not every system can sync a folder.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
