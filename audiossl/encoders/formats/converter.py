"""Converters: what recognises and reads the checkpoints of another toolkit.

A converter stands beside the class of an encoder, as `CONVERTER` in the module `convert` of its package. It is found
through the card's target, in this repository and in installed plug-ins alike. The wav2vec 2.0 family, whose six names
share their files' form, has one for all of them (`audiossl.encoders.waveform.checkpoints`).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from audiossl.core.registry import UPSTREAMS
from audiossl.encoders.formats.original import Original
from audiossl.encoders.upstream import Upstream

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Converter:
    """Reads the checkpoints of one family of encoders, or of several.

    families: their names, for the error about a file that no converter recognises.
    family_of: the family that a checkpoint holds, '' for none of these.
    load: an encoder from (family, checkpoint, options, random_init). It raises CheckpointError where anything differs.
    is_fallback: asked after all that are not.
    """

    families: tuple[str, ...]
    family_of: Callable[[Original], str]
    load: Callable[[str, Original, Mapping[str, Any], bool], Upstream]
    is_fallback: bool = False


def found_converters() -> list[Converter]:
    """The converters of all registered encoders whose package has one. A broken plug-in is left out with a warning."""
    targets = [UPSTREAMS.card(name).target for name in UPSTREAMS.names()]
    packages = {target.partition(":")[0].rpartition(".")[0] for target in targets}
    return [found for package in sorted(packages) if package and (found := _converter_of(package)) is not None]


def _converter_of(package: str) -> Converter | None:
    name = f"{package}.convert"
    try:
        if importlib.util.find_spec(name) is None:
            return None
        converter = getattr(importlib.import_module(name), "CONVERTER", None)
    except ImportError as error:
        _log.warning("%s does not import (%s), so its checkpoints are not recognised.", name, error)
        return None
    return converter if isinstance(converter, Converter) else None
