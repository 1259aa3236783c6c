"""Calls that are tones: an encoder, rows, batches and tasks for the tests of bioacoustics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lhotse import MonoCut, SupervisionSegment

from audiossl.core.config import make
from audiossl.core.types import Batch
from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
from audiossl.training.interface import load_interface
from toys.bands import Bands

RATE = 16000
Config = BioacousticWindows.Config


def cut_of(number: int, label: str | None, start: float = 0.0, custom: dict[str, Any] | None = None) -> MonoCut:
    name = f"item-{number}"
    fields = {**({} if label is None else {"label": label}), **(custom or {})}
    segment = SupervisionSegment(name, name, 0, 0.5, custom=fields)
    return MonoCut(name, start=start, duration=0.5, channel=0, supervisions=[segment])


def batch_of(labels: Sequence[str | None], seed: int = 0) -> Batch:
    """Calls `lo` and `hi` are tones of 1 and 5 kHz; a window may have both or none."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(RATE // 8, RATE // 3, (len(labels),), generator=draw)
    wavs = torch.zeros(len(labels), int(lengths.max()))
    for row, (length, label) in enumerate(zip(lengths.tolist(), labels, strict=True)):
        times = torch.arange(length) / RATE
        wavs[row, :length] = 0.02 * torch.randn(length, generator=draw)
        for name, hz in (("lo", 1000), ("hi", 5000)):
            if name in (label or "").split("|"):
                wavs[row, :length] += 0.3 * torch.sin(2 * torch.pi * hz * times)
    return Batch(wavs, lengths, tuple(cut_of(row, label) for row, label in enumerate(labels)))


MIXED = ["lo", "hi", "hi|lo", "", "lo", "", "hi", "hi|lo", "", "lo", "hi", ""]


def toy(kind: type = BioacousticWindows, **options: Any) -> Any:
    torch.manual_seed(0)
    upstream = Bands()
    options = {"labels": ["hi", "lo"], **options}
    return make(kind, options, upstream, load_interface("weighted_sum", upstream.widths))
