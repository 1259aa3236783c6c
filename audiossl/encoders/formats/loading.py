"""Checkpoints of other toolkits: what kind of file it is, and which family of encoders reads it.

Each family recognises and converts its own files in its `convert.py`:

    recognises(original: Original) -> bool
    load(original: Original, options: Mapping[str, Any], random_init: bool) -> Upstream
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.original import (
    Original,
    read_original,
)
from audiossl.encoders.hub import SOURCES
from audiossl.encoders.upstream import Upstream


def load_original(
    path: Path, source: str = "", options: Mapping[str, Any] | None = None, *, random_init: bool = False
) -> Upstream:
    """An encoder from a file or folder of another toolkit, by the family that recognises it. Raises CheckpointError.

    source: a key of SOURCES, if the user named one; options: fields of the family's configuration to change.
    """
    original = read_original(path)
    if source and original.kind not in SOURCES[source]:
        raise CheckpointError(f"{path} is a {original.kind} checkpoint, not one of {source}; leave `{source}:` out.")
    refuse_by_name(original)
    families = sorted(_converters(), key=lambda family: getattr(family, "FALLBACK", False))
    for family in families:
        if family.recognises(original):
            upstream: Upstream = family.load(original, options or {}, random_init)
            return upstream
    names = ", ".join(family.__name__.split(".")[-2] for family in families)
    held = ", ".join(list(original.content or original.described or original.state)[:8])
    raise CheckpointError(f"{path} is no checkpoint of a known family ({names}); it holds: {held}.")


def refuse_by_name(original: Original) -> None:
    """Raise CheckpointError for encoders that are known but not supported, saying what they are."""
    from audiossl.encoders.formats.refused import name_of_refused

    if name := name_of_refused(original):
        raise CheckpointError(f"{original.path} is {name}, which audiossl does not have.")


def _converters() -> list[ModuleType]:
    package = importlib.import_module("audiossl.upstreams")
    names = [f"audiossl.upstreams.{info.name}.convert" for info in pkgutil.iter_modules(package.__path__) if info.ispkg]
    return [importlib.import_module(name) for name in names if importlib.util.find_spec(name)]
