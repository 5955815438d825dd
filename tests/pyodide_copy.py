"""Pyodide, and NumPy for it, from npm; nothing of them is part of the library."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typing_extensions import override

FOLDER = Path(__file__).parents[1] / "build" / "pyodide"
PINNED = {
    "pyodide@0.29.5": "6749b10ee515a1458ecea36d860c8ce2a48366e85b3f92d749ad1840e4aff181",
    # It contains the only wheel of NumPy for this Pyodide in a package index.
    "@bentopdf/pymupdf-wasm@0.11.16": (
        "cd093f8824761031cae51a5f4f7b47e34030e7a000e09030b7871a11a52e73a0"
    ),
}
FILES = (
    "pyodide.mjs",
    "pyodide.asm.js",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
WHEELS = (
    "numpy-2.2.5-cp313-cp313-pyodide_2025_0_wasm32.whl",
    "typing_extensions-4.12.2-py3-none-any.whl",
)


def pyodide_copy() -> Path:
    """Return a folder with Pyodide and the wheels; skip the test if they can't be had."""
    folder = FOLDER / "copy"
    if not all((folder / name).exists() for name in FILES + WHEELS):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, digest in PINNED.items():
            _unpack(_fetched(name, digest), folder)
    return folder


def _fetched(name: str, digest: str) -> Path:
    file, version = name.lstrip("@").replace("/", "-").rsplit("@", 1)
    path = FOLDER / f"{file}-{version}.tgz"
    if not path.exists():
        if not shutil.which("npm"):
            pytest.skip(f"needs npm to fetch {name}")
        fetched = subprocess.run(
            ["npm", "pack", "--silent", name], cwd=FOLDER, capture_output=True, text=True
        )
        if fetched.returncode:
            pytest.skip(f"npm can't fetch {name}: {fetched.stderr.strip()[-200:]}")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, f"{path} isn't as it was"
    return path


def _unpack(path: Path, folder: Path) -> None:
    with tarfile.open(path) as archive:
        for member in archive:
            place, _, name = member.name.rpartition("/")
            content = archive.extractfile(member)
            wanted = FILES if place == "package" else WHEELS
            if content and name in wanted:
                folder.joinpath(name).write_bytes(content.read())


class Files(ThreadingHTTPServer):
    """Serves a folder, as the web server of a site does."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_port}/"
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass
