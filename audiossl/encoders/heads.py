"""What lies beside a published encoder in its checkpoint, for whoever goes on with its pre-training."""

from __future__ import annotations

from torch import Tensor

from audiossl.core.registry import UPSTREAMS
from audiossl.encoders.formats.original import read_original
from audiossl.encoders.hub import local_path, published
from audiossl.encoders.waveform.heads import heads_of


def published_heads(reference: str) -> dict[str, Tensor]:
    """The heads of a checkpoint of another toolkit, under fairseq's names (`audiossl.encoders.waveform.heads`).

    reference: what `load_upstream` took.
    Empty for files of audiossl, which hold an encoder alone, and where a checkpoint has none that are known.
    Raises CheckpointError.
    """
    if reference in UPSTREAMS:
        reference = getattr(UPSTREAMS.card(reference), "weights", "")
        if not published(reference):
            return {}
    path, source = local_path(reference)
    if not source and path.is_dir() and not (path / "config.json").is_file():
        return {}
    return heads_of(read_original(path).state)
