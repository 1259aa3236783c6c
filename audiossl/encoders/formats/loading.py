"""An encoder from a file or folder of another toolkit, by whoever recognises it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError, CheckpointError, first_line
from audiossl.encoders.formats.converter import found_converters
from audiossl.encoders.formats.original import read_original
from audiossl.encoders.formats.refused import refuse_by_name
from audiossl.encoders.hub import SOURCES
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.checkpoints import CONVERTER


def load_original(
    path: Path, source: str = "", options: Mapping[str, Any] | None = None, *, random_init: bool = False
) -> Upstream:
    """An encoder from a checkpoint of another toolkit. Raises CheckpointError.

    path: a file, or a folder of transformers.
    source: a key of SOURCES, if the user named one.
    options: fields of the family's configuration to change.
    random_init: draw the parameters afresh, in the shape that the checkpoint describes.
    """
    try:
        return _load(path, source, options or {}, random_init)
    except AudiosslError:
        raise
    except Exception as error:  # a description may hold anything in any place, and every reader trips in its own way
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise CheckpointError(f"{path} says of itself what cannot be used ({reason}); get it again.") from error


def _load(path: Path, source: str, options: Mapping[str, Any], random_init: bool) -> Upstream:
    original = read_original(path)
    if source and original.kind not in SOURCES[source]:
        raise CheckpointError(f"{path} is a {original.kind} checkpoint, not one of {source}; leave `{source}:` out.")
    refuse_by_name(original)
    # Whoever has a form of its own comes first: to the wav2vec 2.0 family, any stem like its own is its own.
    found = found_converters()
    converters = [*(c for c in found if not c.is_fallback), CONVERTER, *(c for c in found if c.is_fallback)]
    for converter in converters:
        if family := converter.family_of(original):
            return converter.load(family, original, options, random_init)
    named = sorted((converter.is_fallback, family) for converter in converters for family in converter.families)
    names = ", ".join(family for _, family in named)
    held = ", ".join(list(original.content or original.described or original.state)[:8])
    raise CheckpointError(f"{path} is no checkpoint of a known family ({names}); it holds: {held}.")
