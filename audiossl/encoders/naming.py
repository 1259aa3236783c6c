"""Who names an encoder: the user, or a file that may come from elsewhere.

A user may name whatever `load_upstream` takes. A file decides neither what is opened nor what is fetched: a checkpoint
names registered encoders alone. The folder of a run names local paths too, and of addresses those that were fetched
here before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from audiossl.core.errors import CheckpointError


@dataclass(frozen=True)
class Namer:
    """A file that names encoders while it is loaded.

    path: of the file or folder.
    paths: whether it may name local paths, and what was fetched before.
    asked: the strings that were given beside it, by the user or by `outer`.
    outer: the file that named this one, None for the user.
    """

    path: Path
    paths: bool
    asked: frozenset[str]
    outer: Namer | None


_NAMER: ContextVar[Namer | None] = ContextVar("namer", default=None)


@contextmanager
def named_by(path: Path, *, paths: bool = False, asked: object = ()) -> Iterator[None]:
    """Encoders that are loaded in this block are named by a file, and not by the user.

    path: the file, or the folder of a run.
    paths: whether it may name local paths, and what was fetched before.
    asked: options and overrides that were given beside it. What they name is as good as what named the file.
    Raises CheckpointError where a file names itself.
    """
    outer = _NAMER.get()
    namer = outer
    while namer is not None:
        if namer.path.resolve() == path.resolve():
            raise CheckpointError(f"{path} names itself as the encoder that it began with; train it again.")
        namer = namer.outer
    token = _NAMER.set(Namer(path, paths, frozenset(_strings(asked)), outer))
    try:
        yield
    finally:
        _NAMER.reset(token)


def namer_of(reference: str) -> str:
    """The folder that names an encoder which is not registered, '' for the user.

    Raises CheckpointError for a checkpoint, which may not.
    """
    namer = _NAMER.get()
    while namer is not None and reference in namer.asked:
        namer = namer.outer
    if namer is not None and not namer.paths:
        raise CheckpointError(
            f"{namer.path} names the encoder {reference!r}, and a checkpoint may only name one of `audiossl list "
            f"upstreams`; if you trust it, give that option yourself, as in encoder=PATH."
        )
    return str(namer.path) if namer is not None else ""


def _strings(value: object) -> Iterator[str]:
    """All strings in nested data, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _strings(key)
            yield from _strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _strings(entry)
