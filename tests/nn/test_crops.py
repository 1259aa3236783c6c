"""Crops of waveforms."""

from __future__ import annotations

import torch

from audiossl.nn.crops import crops_at


def test_crops_lie_where_they_are_asked_for() -> None:
    wavs = torch.arange(10.0).expand(2, 10)
    made = crops_at(wavs, torch.tensor([3, 8]), torch.tensor([4, 2]), 4)
    assert made.tolist() == [[3, 4, 5, 6], [8, 9, 0, 0]]
