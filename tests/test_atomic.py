"""Atomic writes: the complete old file or the complete new file, and no temporary file left."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.saving.safetensors import load
from minigrad.util.atomic import atomic_write

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "net.bin"
    path.write_bytes(b"old")
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("chunks", [[], [b""], [b"a", b"", memoryview(b"bc")], [bytes(10**6)] * 3])
@pytest.mark.parametrize("name", ["net.bin", "new.bin", "ü 𝄞", "n" * 255])
def test_chunks_are_written(path: Path, name: str, chunks: list[bytes | memoryview]) -> None:
    target = path.with_name(name)
    atomic_write(target, iter(chunks))
    assert target.read_bytes() == b"".join(chunks)
    assert {file.name for file in path.parent.iterdir()} == {path.name, name}


def test_relative_path_as_text(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    atomic_write("net.bin", [b"new"])
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError, MemoryError])
@pytest.mark.parametrize("moment", ["first chunk", "later chunk", "fsync", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_interruption_keeps_only_the_old_file(
    path: Path,
    moment: str,
    error: type[BaseException],
    exists: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    def chunks() -> Iterator[bytes]:
        if moment == "first chunk":
            fail()
        yield bytes(10**5)
        if moment == "later chunk":
            fail()

    if moment in {"fsync", "replace"}:
        monkeypatch.setattr(os, moment, fail)
    if not exists:
        path.unlink()
    with pytest.raises(error):
        atomic_write(path, chunks())
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"old"] * exists


def test_text_is_refused_and_the_old_file_kept(path: Path) -> None:
    with pytest.raises(TypeError):
        atomic_write(path, ["text"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_file_is_synced_before_it_is_renamed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, object]] = []

    def record(name: str, describe: Callable[..., object]) -> None:
        real = getattr(os, name)

        def call(*arguments: object) -> None:
            calls.append((name, describe(*arguments)))
            real(*arguments)

        monkeypatch.setattr(os, name, call)

    def what(handle: int) -> object:
        status = os.fstat(handle)
        return "folder" if stat.S_ISDIR(status.st_mode) else status.st_size

    record("fsync", what)
    record("replace", lambda source, target: (Path(source).parent, Path(target)))
    atomic_write(path, [b"12345", b"678"])
    folder = path.parent.resolve()
    steps: list[tuple[str, object]] = [("fsync", 8), ("replace", (folder, folder / path.name))]
    assert calls == ([*steps, ("fsync", "folder")] if os.name == "posix" else steps)


def test_folder_that_can_not_be_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    atomic_write(path, [b"new"])
    assert path.read_bytes() == b"new"


@posix_only
@pytest.mark.usefixtures("umask")
class TestPermissions:
    def test_new_file_follows_the_umask(self, path: Path) -> None:
        path.unlink()
        atomic_write(path, [b"new"])
        assert mode(path) == 0o640

    @pytest.mark.parametrize("bits", [0o600, 0o644, 0o666, 0o755])
    def test_old_file_keeps_its_permissions(self, path: Path, bits: int) -> None:
        path.chmod(bits)
        atomic_write(path, [b"new"])
        assert mode(path) == bits

    @pytest.mark.parametrize("bits", [0o600, 0o640])
    def test_temporary_file_is_never_more_accessible(
        self, path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []
        chmod = os.chmod

        def look() -> None:
            (temporary,) = set(path.parent.iterdir()) - {path}
            seen.append(mode(temporary))

        def look_first(file: str, bits: int) -> None:
            look()
            chmod(file, bits)

        def chunks() -> Iterator[bytes]:
            yield b"new"
            look()

        path.chmod(bits)
        monkeypatch.setattr(os, "chmod", look_first)
        os.umask(0)
        atomic_write(path, chunks())
        assert seen == [bits, bits]

    def test_write_protected_file_stays(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda file, want: False)  # root may write anything
        with pytest.raises(PermissionError, match=r"write-protected.*net\.bin"):
            atomic_write(path, [b"new"])
        assert path.read_bytes() == b"old"


@posix_only
class TestLinks:
    def test_link_stays_and_its_target_is_replaced(self, path: Path) -> None:
        (path.parent / "links").mkdir()
        first, second = path.parent / "links" / "first", path.parent / "second"
        second.symlink_to("net.bin")
        first.symlink_to("../second")
        atomic_write(first, [b"new"])
        assert first.is_symlink()
        assert second.is_symlink()
        assert not path.is_symlink()
        assert path.read_bytes() == b"new"
        assert list(first.parent.iterdir()) == [first]

    def test_broken_link_creates_its_target(self, path: Path) -> None:
        link = path.parent / "link"
        link.symlink_to("missing")
        atomic_write(link, [b"new"])
        assert link.is_symlink()
        assert (path.parent / "missing").read_bytes() == b"new"

    def test_link_to_itself_is_an_error(self, path: Path) -> None:
        link = path.parent / "link"
        link.symlink_to("link")
        with pytest.raises(OSError, match="link"):
            atomic_write(link, [b"new"])
        assert link.is_symlink()


class TestRefusals:
    def test_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"make it first.*nowhere'"):
            atomic_write(tmp_path / "nowhere" / "net.bin", [b"new"])

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(IsADirectoryError, match="expected a file to write, got a folder"):
            atomic_write(tmp_path, [b"new"])

    @pytest.mark.parametrize("path", [1, True, None, 2.0])
    def test_other_types(self, path: object) -> None:
        with pytest.raises(TypeError, match=rf"path .*got {path}"):
            atomic_write(path, [b"new"])  # type: ignore[arg-type]

    @posix_only
    def test_pipe(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with pytest.raises(OSError, match="expected a regular file"):
            atomic_write(pipe, [b"new"])
        assert stat.S_ISFIFO(pipe.stat().st_mode)


LOCK_AND_WAIT = """
import fcntl, sys
file = open(sys.argv[1], "wb")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@posix_only
class TestLeftovers:
    NAME = ".net.bin.0123456789abcdef.tmp"

    def test_old_ones_of_this_file_are_removed(self, path: Path) -> None:
        others = (
            ".net.bin.tmp",
            ".net.bin2.0123456789abcdef.tmp",
            f"{self.NAME}.txt",
            "x" + self.NAME,
        )
        for name in (self.NAME, ".net.bin.fedcba9876543210.tmp", *others):
            (path.parent / name).write_bytes(b"half")
            os.utime(path.parent / name, (0, 0))
        atomic_write(path, [b"new"])
        assert {file.name for file in path.parent.iterdir()} == {path.name, *others}

    def test_new_one_stays(self, path: Path) -> None:
        (path.parent / self.NAME).write_bytes(b"half")
        atomic_write(path, [b"new"])
        assert (path.parent / self.NAME).exists()

    def test_one_that_another_process_writes_stays(self, path: Path) -> None:
        temporary = path.parent / self.NAME
        command = [sys.executable, "-c", LOCK_AND_WAIT, str(temporary)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            os.utime(temporary, (0, 0))
            atomic_write(path, [b"new"])
            assert temporary.exists()
            process.kill()
        atomic_write(path, [b"newer"])
        assert list(path.parent.iterdir()) == [path]

    def test_writers_in_threads_keep_each_others_files(self, path: Path) -> None:
        def old() -> Iterator[bytes]:
            (temporary,) = path.parent.glob(".*.tmp")
            os.utime(temporary, (0, 0))
            atomic_write(path, [b"inner"])
            yield b"outer"

        atomic_write(path, old())
        assert path.read_bytes() == b"outer"

    def test_folder_without_locks(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def flock(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr("fcntl.flock", flock)
        (path.parent / self.NAME).write_bytes(b"half")
        os.utime(path.parent / self.NAME, (0, 0))
        atomic_write(path, [b"new"])
        assert path.read_bytes() == b"new"
        assert (path.parent / self.NAME).exists()


def test_windows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no fcntl, and renames no open file."""
    opened: list[Any] = []
    replace, real = os.replace, open

    def record(*arguments: Any, **options: Any) -> Any:
        opened.append(real(*arguments, **options))
        return opened[-1]

    def closed_only(source: str, target: str) -> None:
        if not opened[-1].closed:
            raise PermissionError(13, "The process cannot access the file")
        replace(source, target)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr("builtins.open", record)
    monkeypatch.setattr(os, "replace", closed_only)
    monkeypatch.setattr("minigrad.util.atomic.WINDOWS", True)
    atomic_write(path, [b"new"])
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


SAVE_FOREVER = """
import itertools, sys
import numpy as np
from minigrad.util.atomic import atomic_write
from minigrad.saving.safetensors import dumps

for n in itertools.count():
    arrays = {name: np.full(50_000, n) for name in "abcdefgh"}
    atomic_write(sys.argv[1], dumps(arrays, {"n": str(n)}))
    print(n, flush=True)
"""


@posix_only
@pytest.mark.parametrize("seed", range(3))
def test_killed_process_leaves_a_complete_file(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "net.safetensors"
    command = [sys.executable, "-c", SAVE_FOREVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        saved = int(process.stdout.readline())
        time.sleep(np.random.default_rng(seed).uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        saved = max([saved, *map(int, process.stdout.read().split())])
    arrays, metadata = load(path)
    n = int(metadata["n"])
    assert n in {saved, saved + 1}
    assert len(arrays) == 8
    for array in arrays.values():
        np.testing.assert_array_equal(array, np.full(50_000, n), strict=True)
