"""Recordings with several targets: a tone whose pitch is a class, a level and a number."""

from __future__ import annotations

from typing import Any

import torch
from lhotse import MonoCut, SupervisionSegment

from audiossl.core.config import structured
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.types import Batch
from audiossl.training.downstream import Downstream
from audiossl.training.interface import load_interface
from toys.bands import Bands

RATE = 16000
PITCHES = {"low": 500, "mid": 1500, "high": 2500}


def target_cut(number: int, duration_s: float = 0.5, **columns: Any) -> MonoCut:
    """A row with any columns."""
    name = f"item-{number}"
    segment = SupervisionSegment(name, name, 0, duration_s, speaker=f"s{number % 6}", custom=columns)
    return MonoCut(name, start=0, duration=duration_s, channel=0, supervisions=[segment])


def target_batch(num_items: int = 24, seed: int = 0, missing: float = 0.0) -> Batch:
    """Tones in noise, of different lengths. `pitch` is a class, `step` the level 1 to 3, `khz` and `noise_db` numbers.

    missing: share of the fields that are empty.
    """
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(RATE // 8, RATE // 3, (num_items,), generator=draw)
    times, wavs, cuts = torch.arange(int(lengths.max())) / RATE, torch.zeros(num_items, int(lengths.max())), []
    for row, length in enumerate(lengths.tolist()):
        name = list(PITCHES)[row % 3]
        noise_db = -60 + 30 * float(torch.rand((), generator=draw))
        tone = 0.3 * torch.sin(2 * torch.pi * PITCHES[name] * times[:length])
        wavs[row, :length] = tone + 10 ** (noise_db / 20) * torch.randn(length, generator=draw)
        columns = {"pitch": name, "step": str(1 + row % 3), "khz": str(PITCHES[name] / 1000), "noise_db": str(noise_db)}
        kept = {key: "" if torch.rand((), generator=draw) < missing else value for key, value in columns.items()}
        cuts.append(target_cut(row, length / RATE, system=f"x{row % 4}", **kept))
    return Batch(wavs, lengths, tuple(cuts))


def target_task(name: str, batch: Batch, **options: Any) -> Downstream:
    """A task on the toy encoder, completed by the batch's rows."""
    torch.manual_seed(0)
    kind, upstream = DOWNSTREAMS.load(name), Bands(3)
    config = kind.complete(structured(kind.Config, options), batch.cuts)
    made: Downstream = kind(upstream, load_interface("weighted_sum", upstream.widths), config)
    return made


def trained(task: Downstream, batch: Batch, steps: int = 60, lr: float = 1e-2) -> Downstream:
    """The task after steps of Adam on one batch."""
    optimizer = torch.optim.Adam([each for each in task.train().parameters() if each.requires_grad], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        optimizer.step()
    return task.eval()
