"""`audiossl.json`: what a published folder holds, each file with its SHA-256.

A repository that has one was pushed by `audiossl push` and holds a run or an encoder of ours. The list says what is
fetched, and every load compares the files with it. Whoever can write into a folder can write another list as well: the
ledger of `audiossl.encoders.hub` notices that, and a revision that the user gives excludes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.core.files import file_sha256, read_json, write_json
from audiossl.core.typed_json import check_types

LIST_NAME = "audiossl.json"
CARD_NAME = "README.md"  # not listed, for it may be edited on the hub's page, and nothing reads it
Kind = Literal["run", "encoder"]


class Listed(NamedTuple):
    """What audiossl.json says: whether a run or an encoder was published, and the SHA-256 of each file by its path."""

    kind: Kind
    files: dict[str, str]


def is_listed(folder: Path) -> bool:
    """Whether a folder was published."""
    return (folder / LIST_NAME).is_file()


def write_list(folder: Path, kind: Kind, files: Iterable[str]) -> None:
    """Write the list of a folder. files: their paths in it."""
    hashed = {name: file_sha256(folder / name) for name in sorted(files)}
    write_json(folder / LIST_NAME, {"kind": kind, "files": hashed})


def read_list(path: Path) -> Listed:
    """What `write_list` wrote. Raises CheckpointError for a damaged one, or one that leads out of its folder."""
    expected: dict[str, Any] = {"kind": str, "files": dict[str, str]}
    try:
        found = read_json(path)
        check_types({"kind": None, "files": None, **found}, expected, path, "get it again")
    except AudiosslError as error:
        raise CheckpointError(str(error)) from error
    if found["kind"] not in get_args(Kind):
        raise CheckpointError(f"{path} is of a kind {found['kind']!r}, which this version does not know; update it.")
    for name in found["files"]:
        parts = name.split("/")
        if not name.isprintable() or "\\" in name or {"", ".", ".."} & {*parts} or ":" in parts[0]:
            raise CheckpointError(f"{path} names the file {name!r}, which is not below it; get it again.")
    return Listed(found["kind"], found["files"])


def require_whole(folder: Path) -> Listed:
    """What a published folder holds, all of which is as it is listed. Raises CheckpointError for any other file."""
    listed = read_list(folder / LIST_NAME)
    for name, expected in listed.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{folder} has no {name}, which {LIST_NAME} lists; get it again.")
        if (found := file_sha256(path)) != expected:
            raise CheckpointError(
                f"{path} has sha256 {found[:12]}..., not {expected[:12]}... as {LIST_NAME} lists it: it was changed or "
                f"damaged since it was published; remove it and get it again."
            )
    return listed
