"""Words that are tones: an encoder, rows and batches for the tests of classification."""

from __future__ import annotations

from typing import Any

import torch
from lhotse import MonoCut, SupervisionSegment

from audiossl.core.config import make
from audiossl.core.types import Batch
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.training.interface import load_interface
from toys.bands import Bands

RATE = 16000
WORDS = ("no", "up", "yes")


def cut_of(number: int, label: str | None, speaker: str | None = None, duration_s: float = 0.5) -> MonoCut:
    name = f"item-{number}"
    custom: dict[str, Any] = {} if label is None else {"label": label}
    segment = SupervisionSegment(name, name, 0, duration_s, text="hello", speaker=speaker, custom=custom)
    return MonoCut(name, start=0, duration=duration_s, channel=0, supervisions=[segment])


def tone_batch(num_items: int = 12, seed: int = 0) -> Batch:
    """Words are tones of 500, 1500 and 2500 Hz in noise; recordings of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(RATE // 8, RATE // 3, (num_items,), generator=generator)
    times = torch.arange(int(lengths.max())) / RATE
    wavs = torch.zeros(num_items, len(times))
    for row, length in enumerate(lengths.tolist()):
        tone = 0.3 * torch.sin(2 * torch.pi * (500 + 1000 * (row % 3)) * times[:length])
        wavs[row, :length] = tone + 0.02 * torch.randn(length, generator=generator)
    cuts = tuple(
        cut_of(row, WORDS[row % 3], f"s{row % 4}", int(length) / RATE) for row, length in enumerate(lengths.tolist())
    )
    return Batch(wavs, lengths, cuts)


def toy_task(**options: Any) -> UtteranceClassification:
    torch.manual_seed(0)
    upstream = Bands(3)
    interface = load_interface("weighted_sum", upstream.widths)
    task = make(UtteranceClassification, {"labels": list(WORDS), **options}, upstream, interface)
    assert isinstance(task, UtteranceClassification)
    return task
