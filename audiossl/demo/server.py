"""The server of the page, for browsers of this machine alone.

It listens to 127.0.0.1. A request must name that host, so that no other site's name can lead to it (DNS rebinding), and
must come from the page itself where the browser says from where. Nothing is served by a path: the page, its style, its
script, answers, and training items by their number.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from audiossl.core.errors import AudiosslError, ConfigError, os_error_sentence
from audiossl.demo.session import Demo
from audiossl.demo.uploads import RequestError, announced, received

ADDRESS = "127.0.0.1"
_HOSTS = (ADDRESS, "localhost")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Cache-Control": "no-store",
}
_MOST_IGNORED = 1 << 24  # bytes of a body that is refused, which a browser must be allowed to send to hear why


class DemoServer(ThreadingHTTPServer):
    """Serves a demo until it is shut down.

    demo: what is served.
    port: on which. 0 for a free one.
    Raises ConfigError for a port that cannot be had.
    """

    daemon_threads = True

    def __init__(self, demo: Demo, port: int = 0) -> None:
        self.demo = demo
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"The port {port} cannot be had ({error}); take --port 0 for a free one.") from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "audiossl", ""
    timeout = 60  # seconds without a byte
    server: DemoServer

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the name of the base class
        """Names of recordings stay out of the terminal."""

    def _get(self) -> None:
        demo, path = self.server.demo, urlsplit(self.path).path
        _, kind, name = path.split("/", 2) if path.count("/") > 1 else ("", path.lstrip("/"), "")
        if path == "/":
            self._send(demo.page().encode(), "text/html; charset=utf-8")
        elif path == "/style.css":
            self._send(demo.style().encode(), "text/css; charset=utf-8")
        elif path == "/page.js":
            self._send(demo.script().encode(), "text/javascript; charset=utf-8")
        elif kind == "nearest":
            self._send_json(demo.nearest(name))
        elif kind == "item" and name.isascii() and name.isdigit() and len(name) < 10:
            sound = demo.neighbours.sound(int(name))
            if sound is None:
                raise RequestError(HTTPStatus.NOT_FOUND, "There is no such training item.")
            self._send(sound, "audio/wav")
        else:
            raise RequestError(HTTPStatus.NOT_FOUND, "There is no such page.")

    def _post(self) -> None:
        demo = self.server.demo
        if self.path != "/predict":
            raise RequestError(HTTPStatus.NOT_FOUND, "There is no such page.")
        told = announced(self.headers, demo.max_mb * 1_000_000, 1 + demo.compares)  # type: ignore[arg-type]
        with received(self.rfile, told) as uploads:  # type: ignore[arg-type]
            self._send_json(demo.answer(uploads))

    def _answer(self, respond: Any) -> None:
        """Respond, or say in a sentence why not."""
        try:
            self._check_origin()
            respond()
        except RequestError as error:
            self._refuse(error.status, str(error))
        except AudiosslError as error:
            self._send_json({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # nobody listens any more
        except OSError as error:
            self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, os_error_sentence(error))
        except Exception:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed inside; the terminal says what.")
            raise

    def _check_origin(self) -> None:
        """Raise RequestError for what another site has asked for."""
        host = self.headers.get("Host", "")
        if host.partition(":")[0] not in _HOSTS:
            raise RequestError(HTTPStatus.FORBIDDEN, f"This page is at {self.server.url} and under no other name.")
        if self.command == "GET" and self.path == "/":
            return  # a link may lead here from anywhere, and no frame may show it
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        if origin not in (None, f"http://{host}") or site not in ("same-origin", "none"):
            raise RequestError(HTTPStatus.FORBIDDEN, "Other sites cannot ask this page.")

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        """Answer before the body is read. A browser reads the answer if it may send on for a while."""
        self.close_connection = True
        with suppress(OSError):
            self._send_json({"error": sentence}, status)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(2)
            left = _MOST_IGNORED
            while left > 0 and (block := self.rfile.read1(1 << 16)):  # type: ignore[attr-defined]
                left -= len(block)

    def _send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value, allow_nan=False).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
