"""Where a command writes: no input of its own, nobody's own work, and a place that takes it. All before it begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from audiossl.core.errors import OutputError
from audiossl.core.files import check_name, unwritable


def check_out(
    out: Path, kind: Literal["file", "folder"], inputs: Iterable[str | Path] = (), *, begins: bytes | None = None
) -> None:
    """Refuse a place that must not or cannot be written. Nothing is made there.

    out: what the user named.
    kind: what is to be written there.
    inputs: what the same command reads. What is no path is passed over.
    begins: how a file of this kind begins. One that is there and does not is somebody's own and stays.
    Raises OutputError.
    """
    for given in inputs:
        if is_same_place(out, given):
            raise OutputError(f"{out} is an input of this command and would be replaced; choose another --out.")
    try:
        check_name(out)
        if kind == "file" and out.is_dir():
            raise OutputError(f"{out} is a folder; name a file in it.")
        if out.exists() and not (out.is_dir() if kind == "folder" else out.is_file()):
            raise OutputError(f"{out} is no {kind} and would be replaced; choose another place.")
        if begins is not None and out.is_file() and not _begins(out, begins):
            raise OutputError(f"{out} is there and is no result of this command; choose another place or remove it.")
        _probe(out if kind == "folder" else out.parent)
    except OutputError:
        raise
    except (OSError, ValueError) as error:
        raise unwritable(out, error) from error


def check_new(out: Path, inputs: Iterable[str | Path] = (), *, overwrite: bool = False) -> None:
    """As `check_out`, of a file that may be replaced only where the user says so: it could be made by hand."""
    check_out(out, "file", inputs)
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is there already; choose another --out, or replace it with --overwrite.")


def is_same_place(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file or folder, through links too."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them is not there, or is no path
        return False


def _begins(path: Path, start: bytes) -> bool:
    """Whether a file begins so, or is empty."""
    with open(path, "rb") as file:
        found = file.read(len(start))
    return found in (b"", start)


def _probe(folder: Path) -> None:
    """Raise OSError where no file can be made in a folder, or in the one in which it would be made."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    with tempfile.TemporaryFile(dir=there):
        pass
