"""Training masks: what is hidden, and that nothing is where nothing is asked for."""

from __future__ import annotations

import torch

from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.encoders.waveform.masks import masked_for_training, masks_input


def test_masked_frames_are_the_filler_and_masked_channels_zero() -> None:
    x, frames = torch.ones(2, 40, 8), torch.tensor([40, 30])
    torch.manual_seed(0)
    times = WaveformConfig(mask_time_prob=0.5, mask_time_length=5)
    made = masked_for_training(times, torch.full((8,), 7.0), x, frames)
    assert set(made.unique().tolist()) == {1.0, 7.0}
    assert bool((made[1, 30:] == 1.0).all())
    channels = WaveformConfig(mask_feature_prob=0.5, mask_feature_length=2)
    made = masked_for_training(channels, None, x, frames)
    assert set(made.unique().tolist()) == {0.0, 1.0}
    assert bool((made == made[:, :1]).all())


def test_by_default_there_are_none() -> None:
    assert not masks_input(WaveformConfig())
    assert masks_input(WaveformConfig(mask_time_prob=0.1))
    x = torch.ones(1, 4, 8)
    assert masked_for_training(WaveformConfig(), None, x, torch.tensor([4])) is x
