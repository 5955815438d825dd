"""The playground's server: it answers the page that it opened, and nothing else.

It listens on 127.0.0.1. Each address contains a random token, so that no other page can guess one;
`Host` must be this machine, so that no other name can lead here; and a message must come from this
origin.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import webbrowser
from collections import OrderedDict
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Final

from typing_extensions import override

from minigrad.playground.session import Session
from minigrad.playground.site import PYODIDE, write_site

_SESSIONS: Final = 16
_LONGEST: Final = 4_000_000
_TYPES: Final = {
    "html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"
}  # fmt: skip
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""'unsafe-inline' is for the frames with explanations, which are whole pages of their own."""


class Server(ThreadingHTTPServer):
    """Serves the page, and a session for each page that is open.

    Args:
        port: 0 takes a free one.

    Attributes:
        token: what every address contains.
        address: where the page is.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.token = secrets.token_urlsafe(18)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}
        self.address = f"http://127.0.0.1:{self.server_port}/{self.token}/"
        self._page = files("minigrad.playground").joinpath("page")
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = Lock()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a page that was closed while it waited for an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def file(self, name: str) -> bytes | None:
        """Return a file of the page, or None; its first style is that of all pages."""
        if name not in {found.name for found in self._page.iterdir()} | {"webpage.css"}:
            return None
        folder = files("minigrad.util") if name == "webpage.css" else self._page
        return folder.joinpath(name).read_bytes()

    def open_session(self) -> str:
        """Return the name of a new session; of too many, the one longest unused ends."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._sessions[name] = Session()
            while len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        return name

    def session(self, name: str) -> Session | None:
        """Return a session, or None if it has ended."""
        with self._lock:
            if name in self._sessions:
                self._sessions.move_to_end(name)
            return self._sessions.get(name)

    def close_session(self, name: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(name, None)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "minigrad", ""
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 300

    def do_GET(self) -> None:
        """Answer with a file of the page."""
        if (path := self._path(message=False)) is None:
            return
        name = path or "index.html"
        if (content := self.server.file(name)) is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        self._answer(content, _TYPES.get(name.rpartition(".")[2], "application/octet-stream"))

    def do_POST(self) -> None:
        """Open a session, answer a message to one, or close one."""
        if (path := self._path(message=True)) is None:
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LONGEST:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        action, _, name = path.partition("/")
        session = self.server.session(name)
        if path == "open":
            self._answer(json.dumps({"session": self.server.open_session()}).encode())
        elif session is None or action not in ("ask", "close"):
            self._refuse(HTTPStatus.NOT_FOUND)
        elif action == "close":
            self.server.close_session(name)
            self._answer(b"{}")
        else:
            self._answer(session.handle(body.decode("utf-8", "replace")).encode())

    def _path(self, *, message: bool) -> str | None:
        """Return the path after the token; refuse a request that isn't from the page."""
        parts = self.path.partition("?")[0].split("/", 2)
        token, rest = parts[1:] if len(parts) == 3 else ("", "")
        origin = self.headers.get("Origin")
        origins = {f"http://{host}" for host in self.server.hosts}
        known = (
            self.headers.get("Host") in self.server.hosts
            and (origin in origins or (origin is None and not message))
            and secrets.compare_digest(token.encode(), self.server.token.encode())
        )
        if not known:
            self.close_connection = True  # a body may follow
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        return rest

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer(f"{status.phrase}\n".encode(), "text/plain", status)

    def _answer(
        self, body: bytes, kind: str = "application/json", status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a page asks many times a second."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the playground until Ctrl-C, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.playground", description="Open the playground in a browser."
    )
    parser.add_argument("link", nargs="?", default="", help="a copied link, or the part after #")
    parser.add_argument("--port", type=int, default=0, help="the port; by default a free one")
    parser.add_argument(
        "--site",
        metavar="FOLDER",
        help="write the page as files in which Python runs in the browser",
    )
    parser.add_argument(
        "--pyodide", default=PYODIDE, help="where such a page loads Pyodide from; %(default)s"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    given = parser.parse_args(arguments)
    if given.site:
        write_site(Path(given.site), pyodide=given.pyodide)
        return 0
    with Server(given.port) as server:
        link = given.link.rpartition("#")[2]
        address = server.address + (f"#{link}" if link else "")
        print(f"The playground is at {address}\nCtrl-C ends it.", flush=True)
        if not given.no_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0
