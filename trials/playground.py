"""Does a long run grow? `python -m trials.playground` trains over the local server for 15 minutes.

It asks what the page asks: frames, a diagnosis every 12 seconds, and an explanation every minute.
Each minute it prints the memory of the server's process. Linux only.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FRAME = 1 / 60


class Page:
    """A session of the server at an address, asked as the page asks it."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self.root, self.origin = place.path, f"http://{place.netloc}"
        self.connection = HTTPConnection(place.netloc)
        self.session = self.post("open", "")["session"]

    def post(self, path: str, body: str) -> dict[str, Any]:
        """Return the answer to a message."""
        self.connection.request("POST", self.root + path, body, {"Origin": self.origin})
        answer: dict[str, Any] = json.loads(self.connection.getresponse().read())
        assert "error" not in answer, answer
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the session's answer."""
        return self.post(f"ask/{self.session}", json.dumps({"do": do, **arguments}))


def memory(process: int) -> float:
    """Return the resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6


def train(page: Page, seconds: float) -> dict[str, Any]:
    """Train for some time, and return the last frame."""
    end, diagnosed = time.monotonic() + seconds, 0.0
    while (now := time.monotonic()) < end:
        frame = page.ask("frame", budget=0.022)
        if now > diagnosed + 12:
            page.ask("diagnose")
            diagnosed = now
        time.sleep(FRAME)
    page.ask("explain", layer=0)
    return frame


def main() -> int:
    """Print the memory of each minute; fail if it grows by a tenth after the first fifth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--minute", type=float, default=60.0, metavar="SECONDS")
    given = parser.parse_args()
    run = [sys.executable, "-m", "minigrad.playground", "--no-browser"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            page = Page(server.stdout.readline().split()[-1])
            page.ask("open")
            found = []
            for minute in range(1, given.minutes + 1):
                frame = train(page, given.minute)
                found.append(memory(server.pid))
                print(f"minute {minute}: {frame['epoch']:,} epochs, {found[-1]:.1f} MB", flush=True)
        finally:
            server.terminate()
    early = found[len(found) // 5]
    print(f"from {early:.1f} to {found[-1]:.1f} MB")
    return int(found[-1] > 1.1 * early)


if __name__ == "__main__":
    raise SystemExit(main())
