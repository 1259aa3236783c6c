"""What encoders of the wav2vec 2.0 family make of a padded batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.encoders.testing import pad
from toys.engines import TINY


def of_the_short_item(name: str, padding: str, seconds: float = 0.0503, **options: Any) -> Tensor:
    """The last hidden state (T, D) of the shorter of two recordings, with weights that are the same in each mode."""
    encoder = load_upstream(name, weights="random", padding=padding, **{**TINY, **options})
    draw = torch.Generator().manual_seed(0)
    wavs = [torch.randn(round(each * 16000), generator=draw) for each in (seconds, 0.25)]
    with torch.no_grad():
        return encoder(*pad(wavs)).item(0)[-1]
