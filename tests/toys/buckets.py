"""Places behind a URL as they are: an S3 service on this machine, and a web server that may misbehave."""

from __future__ import annotations

import functools
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@functools.cache
def _s3() -> Any:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    return server


def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket. Skips the test without moto (its server) and s3fs, which are no part of `dev`."""
    s3fs = pytest.importorskip("s3fs")
    host, port = _s3().get_host_and_port()
    address = f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "toy",
        "AWS_SECRET_ACCESS_KEY": "toy",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    forget_s3()
    bucket = f"toy-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}"


def forget_s3() -> None:
    """Connections that are kept, with the credentials that they were made with."""
    pytest.importorskip("s3fs").S3FileSystem.clear_instance_cache()


class Web:
    """A web server of a folder.

    address: its URL.
    manner: 'parts' (ranges are answered), 'whole' (they are not), 'cut' (half of an answer comes), or a status.
    """

    def __init__(self, folder: Path) -> None:
        self.manner: str | int = "parts"
        outer = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                path = Path(self.translate_path(self.path))
                if isinstance(outer.manner, int):
                    self.send_error(outer.manner)
                elif path.is_file() and "Range" in self.headers and outer.manner != "whole":
                    self._send_part(path.read_bytes(), self.headers["Range"])
                else:
                    super().do_GET()

            def _send_part(self, content: bytes, asked: str) -> None:
                first, last = asked.removeprefix("bytes=").split("-")
                part = content[int(first) : int(last or len(content)) + 1]
                self.send_response(206)
                end = int(first) + len(part) - 1
                self.send_header("Content-Range", f"bytes {first}-{end}/{len(content)}")
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                if outer.manner != "cut":
                    self.wfile.write(part)
                    return
                self.wfile.write(part[: len(part) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def web_of(folder: Path) -> Iterator[Web]:
    """A web server of a folder. Skips the test without aiohttp, which fsspec needs for http."""
    pytest.importorskip("aiohttp")
    web = Web(folder)
    threading.Thread(target=web.server.serve_forever, daemon=True).start()
    yield web
    web.stop()
