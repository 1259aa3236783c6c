"""Recordings that a browser sends, in temporary files: as many bytes as were announced and allowed, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from audiossl.core.errors import AudiosslError
from audiossl.core.untrusted import printable

_BLOCK = 1 << 16
_LONGEST_NAME = 120  # characters that the page shows
_MB = 1_000_000


class RequestError(AudiosslError):
    """A request that is not answered, with the sentence that says why."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Upload(NamedTuple):
    """A recording as it was sent.

    path: of the temporary file, which is named by us.
    name: that the sender has for it, to be shown.
    """

    path: Path
    name: str


class Announcement(NamedTuple):
    """What the headers of a request say of its body: the name and the number of bytes of each recording."""

    names: Sequence[str]
    sizes: Sequence[int]


def announced(headers: Mapping[str, str], most_bytes: int, most_files: int) -> Announcement:
    """What is about to be sent. Nothing of it is read.

    X-Names is a JSON list of names, percent-encoded. X-Sizes has as many numbers of bytes, with commas between.
    Raises RequestError for more than is allowed, and for headers that do not agree.
    """
    length = headers.get("Content-Length", "")
    if not _is_count(length) or "Transfer-Encoding" in headers:
        raise RequestError(
            HTTPStatus.LENGTH_REQUIRED, "The upload does not say its size (Content-Length); send it whole."
        )
    names, sizes = _names(headers.get("X-Names", "")), headers.get("X-Sizes", length).split(",")
    if not all(map(_is_count, sizes)) or sum(map(int, sizes)) != int(length):
        raise RequestError(HTTPStatus.BAD_REQUEST, "X-Sizes and Content-Length do not agree; reload the page.")
    if len(names) != len(sizes) or len(names) > most_files:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"Send at most {most_files} recording(s), each with its name.")
    for name, size in zip(names, map(int, sizes), strict=True):
        if size > most_bytes:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{name} has {size / _MB:,.0f} MB, and this page takes {most_bytes / _MB:,.0f} MB; send a part of it, "
                f"start the page with a larger --max-mb, or use `audiossl predict`.",
            )
    return Announcement(names, [int(size) for size in sizes])


@contextmanager
def received(body: BinaryIO, announcement: Announcement) -> Iterator[list[Upload]]:
    """The recordings, as files that are gone afterwards, whatever happens.

    Raises RequestError for a body that ends early, OSError where there is no room.
    """
    with TemporaryDirectory(prefix="audiossl_demo_") as folder:
        yield [
            Upload(_written(body, size, Path(folder) / f"recording{number}", name), name)
            for number, (name, size) in enumerate(zip(*announcement, strict=True), start=1)
        ]


def _written(body: BinaryIO, size: int, path: Path, name: str) -> Path:
    left = size
    with open(path, "xb") as file:
        while left:
            block = body.read(min(_BLOCK, left))
            if not block:
                raise RequestError(
                    HTTPStatus.BAD_REQUEST, f"The upload of {name} ended {left} bytes early; send it again."
                )
            file.write(block)
            left -= len(block)
    return path


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _names(header: str) -> list[str]:
    try:
        found = json.loads(unquote(header, errors="strict"))
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or brackets without an end
        found = None
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise RequestError(HTTPStatus.BAD_REQUEST, "The upload does not say its names (X-Names); reload the page.")
    return [_shown(name) for name in found]


def _shown(name: str) -> str:
    """A name without a folder and without codes, of a length that can be read."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    text = printable(last.encode("utf-8", "replace").decode("utf-8"))
    return (text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}...") or "the recording"
