"""Checkpoints of other toolkits, read without running pickled code.

`torch.load(weights_only=True)` refuses every class it does not know. Published files hold a few harmless ones
(argparse.Namespace, optimizer objects); each is replaced by an inert stand-in of ours, so nothing of theirs runs.
Each upstream family recognises and converts its own files in its `convert.py` (SOURCE, recognises, load).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pickle
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from audiossl.errors import CheckpointError
from audiossl.upstream import Upstream

READERS = ("s3prl",)


class _Inert:
    """Takes the place of a class that only carries data: keeps what it is given, does nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.arguments = (args, kwargs)


_STAND_INS: list[Any] = [
    argparse.Namespace,
    *[(_Inert, f"optimizers.{name}") for name in ("BertAdam", "Lamb", "AdamW", "Adam")],
    (_Inert, "pathlib.PosixPath"),
]


def load_original(source: str, path: Path) -> Upstream:
    """An encoder from a file of another toolkit: the family that recognises it converts it. Raises CheckpointError."""
    checkpoint = read_pickled(path)
    families = [family for family in _converters() if source == family.SOURCE]
    for family in families:
        if family.recognises(checkpoint):
            upstream: Upstream = family.load(checkpoint)
            return upstream
    keys = ", ".join(list(checkpoint)[:8])
    names = ", ".join(family.__name__.split(".")[-2] for family in families)
    raise CheckpointError(f"{path} is no {source} checkpoint of a known family ({names}); it holds: {keys}.")


def read_pickled(path: Path) -> Mapping[str, Any]:
    """A torch file as a mapping; refuses classes that could run code. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error).splitlines()[0])
        raise CheckpointError(
            f"{path} is damaged or holds pickled code that audiossl does not run ({reason.strip()})."
        ) from error
    except Exception as error:  # torch meets a cut file with struct.error, EOFError, RuntimeError, IndexError, ...
        size = path.stat().st_size
        raise CheckpointError(f"{path} ({size} bytes) is not a whole torch checkpoint: copy it again.") from error
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint with named parts.")
    return checkpoint


def _converters() -> list[ModuleType]:
    package = importlib.import_module("audiossl.upstreams")
    names = [f"audiossl.upstreams.{info.name}.convert" for info in pkgutil.iter_modules(package.__path__) if info.ispkg]
    return [importlib.import_module(name) for name in names if importlib.util.find_spec(name)]
