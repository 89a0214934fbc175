"""A page's server: on this machine alone, for whoever has its address, and nothing that it is told is executed.

It listens on the loopback; an address holds a random token, so that no other page can guess it, and a request that
names another host, as one would of a name that was bound to this address anew, is refused.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import presets
from zoo.cli.explore.answers import Start, answer, complete
from zoo.drawing.pages import colours
from zoo.drawing.svg import drawing_rules

HOST = "127.0.0.1"
MAX_BODY = 1_000_000
"""Bytes of a request: a spec is a few kilobytes."""
MOST_AT_ONCE = 4
_WAIT_S = 30.0  # for what a browser sends
_PAGE = {
    "": ("page.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SupersededError(Exception):
    """A newer request of the same page has come."""


class Server(ThreadingHTTPServer):
    """Serves one page; `address` is where."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, start: Start, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self.start = start
        self.token = secrets.token_urlsafe(24)
        self.latest: dict[str, int] = {}
        """The number of each page's newest request."""
        self.running = threading.Semaphore(MOST_AT_ONCE)

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "zoo", ""
    timeout = _WAIT_S

    def do_GET(self) -> None:
        """The page and its files."""
        name = self._name()
        if name is None:
            return
        if name not in _PAGE:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        file, kind = _PAGE[name]
        content = (resources.files("zoo.cli.explore") / file).read_text(encoding="utf-8")
        if name == "page.css":
            content = colours() + drawing_rules() + content
        self._send(HTTPStatus.OK, content.encode(), f"{kind}; charset=utf-8")

    def do_POST(self) -> None:
        """What the page asks: JSON in, JSON out."""
        name = self._name()
        if name is None:
            return
        asked = self._body()
        if asked is None:
            return
        tasks: dict[str, Callable[[dict[str, Any]], Any]] = {
            "start": self._start, "preset": self._preset, "answer": self._answer, "complete": complete
        }  # fmt: skip
        if name not in tasks:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        if not self.server.running.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            found = tasks[name](asked)
        except SupersededError:
            self._refuse(HTTPStatus.CONFLICT)
            return
        except (KeyError, TypeError, ValueError) as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        finally:
            self.server.running.release()
        self._send_json(HTTPStatus.OK, found)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address would be in it."""

    def _name(self) -> str | None:
        """What is asked for behind the token; None where the request is refused."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        origin = self.headers.get("Origin")
        if origin is not None and origin not in (f"http://{HOST}:{port}", f"http://localhost:{port}"):
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        token, slash, name = urlsplit(self.path).path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        return name

    def _body(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
            return None
        if int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        if self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
            return None
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return None
        return asked

    def _start(self, asked: dict[str, Any]) -> dict[str, Any]:
        start = self.server.start
        own = [] if start.is_preset else [start.name]
        return {
            "name": start.name, "text": start.text, "overrides": " ".join(start.overrides), "scale": start.scale,
            "names": [*own, *presets.names()],
        }  # fmt: skip

    def _preset(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        if name == self.server.start.name:
            return {"name": name, "text": self.server.start.text}
        if name not in presets.names():
            raise ValueError(f"no preset is called {name!r}")
        return {"name": name, "text": presets.text_of(name)}

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        page, number = str(asked["page"])[:40], int(asked["number"])
        latest = self.server.latest
        latest[page] = max(number, latest.get(page, 0))

        def go_on() -> None:
            if latest[page] > number:
                raise SupersededError

        return answer(asked, go_on)

    def _send_json(self, status: HTTPStatus, found: Any) -> None:
        self._send(status, json.dumps(found, ensure_ascii=True).encode(), "application/json")

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True  # a body may still be there, unread
        self._send(status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
