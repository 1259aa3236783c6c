"""What lies beside a published encoder in its checkpoint, for whoever goes on with its pre-training."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import read_tensors
from audiossl.encoders.formats.original import read_original
from audiossl.encoders.hub import local_path, published
from audiossl.encoders.waveform.heads import heads_of


def published_heads(reference: str) -> dict[str, Tensor]:
    """The heads of a checkpoint of another toolkit, under fairseq's names (`audiossl.encoders.waveform.heads`).

    reference: what `load_upstream` took.
    Empty for files of audiossl, which hold an encoder alone, and where a checkpoint has none that are known.
    Raises CheckpointError.
    """
    path = checkpoint_of_others(reference)
    return heads_of(read_original(path).state) if path else {}


def checkpoint_of_others(reference: str) -> Path | None:
    """The file or folder of another toolkit that a reference names. None for what audiossl wrote.

    Raises CheckpointError.
    """
    if reference in UPSTREAMS:
        reference = getattr(UPSTREAMS.card(reference), "weights", "")
        if not published(reference):
            return None
    path, source = local_path(reference)
    if not source and path.is_dir() and not (path / "config.json").is_file():
        return None
    if not source and path.suffix == ".safetensors" and "upstream" in read_tensors(path)[1]:
        return None
    return path
