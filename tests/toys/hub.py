"""A stand-in of the Hugging Face hub: repositories in memory, behind the addresses that huggingface_hub asks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

TOKEN = "hf_of_nobody"


@dataclass
class Repository:
    """Commits in their order: the files of each by its name, which is a hash as that of git."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add or replace files."""
        name = hashlib.sha1(f"{len(self.commits)}".encode() + b"".join(files.values())).hexdigest()
        self.commits[name] = {**self.files, **files}
        return name

    @property
    def files(self) -> dict[str, bytes]:
        """Those of the last commit."""
        return self.commits[list(self.commits)[-1]] if self.commits else {}


@dataclass
class Hub:
    """What the server holds.

    repositories: by owner/name.
    asked: the requests, as 'METHOD path'.
    unplug: ends the server.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    unplug: Callable[[], None] = lambda: None

    def tamper(self, repository: str, name: str, content: bytes) -> str:
        """Replace a file in a new commit."""
        return self.repositories[repository].commit({name: content})


@contextmanager
def serving(patch: pytest.MonkeyPatch, home: Path) -> Iterator[Hub]:
    """A hub that huggingface_hub talks to, with a cache below `home` and a token that may write."""
    from huggingface_hub import constants

    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfHub", (_Handler,), {"hub": hub}))

    def unplug() -> None:
        server.shutdown()
        server.server_close()

    hub.unplug = unplug
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    patch.setattr(constants, "ENDPOINT", endpoint)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    patch.setenv("HF_TOKEN", TOKEN)
    try:
        yield hub
    finally:
        unplug()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append(f"{self.command} {path}")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(*found.groups())
        elif self.command == "POST" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, b'{"error": "Invalid credentials"}')
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(preupload|commit|revision)/([^/]+))?", path):
            self._model(found[1], found[2] or "", body)
        else:
            self._json({})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if not name.startswith("me/"):
            self._answer(403, b'{"error": "Forbidden"}')
            return
        there = name in self.hub.repositories
        made = self.hub.repositories.setdefault(
            name, Repository(asked.get("visibility") == "private" or bool(asked.get("private")))
        )
        if not made.commits:
            made.commit({".gitattributes": b""})
        self._answer(409 if there else 200, json.dumps({"url": self._address(name)}).encode())

    def _model(self, name: str, action: str, body: bytes) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif action == "preupload":
            files = [file["path"] for file in json.loads(body)["files"]]
            self._json({"files": [{"path": file, "uploadMode": "regular", "shouldIgnore": False} for file in files]})
        elif action == "commit":
            lines = [json.loads(line) for line in body.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            made = repository.commit({file["path"]: base64.b64decode(file["content"]) for file in files})
            self._json({"commitUrl": f"{self._address(name)}/commit/{made}", "commitOid": made, "success": True})
        else:
            siblings = [{"rfilename": file} for file in repository.files]
            self._json(
                {"id": name, "private": repository.private, "siblings": siblings, "sha": [*repository.commits][-1]}
            )

    def _file(self, name: str, revision: str, file: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        commit = [*repository.commits][-1] if revision == "main" else revision
        if commit not in repository.commits:
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        content = repository.commits[commit].get(file)
        if content is None:
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        etag = hashlib.sha256(content).hexdigest()
        self._answer(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

    def _address(self, name: str) -> str:
        return f"http://{self.headers['Host']}/{name}"

    def _json(self, value: dict[str, Any]) -> None:
        self._answer(200, json.dumps(value).encode())

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
