"""Frames and seconds: exact times, few frames a second, pauses, and boundaries that count."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audiossl.analysis.boundaries.framing import Framed, boundaries_s, framed, segments_s, stretches_of
from audiossl.analysis.boundaries.settings import CutSetting, FrameStretch

SLOW = SimpleNamespace(sample_rate_hz=16000, stride=320, receptive_field=400, edge=0)
FAST = SimpleNamespace(sample_rate_hz=16000, stride=160, receptive_field=400, edge=0)


def test_frames_are_where_they_are() -> None:
    slow = framed(torch.arange(6.0)[:, None], SLOW)
    assert slow.step_s == 0.02 and slow.zero_s == pytest.approx(199.5 / 16000)
    assert slow.edge_s(3, 1.0) == pytest.approx(199.5 / 16000 + 0.05) and slow.edge_s(0, 1.0) < 0.003
    fast = framed(torch.arange(7.0)[:, None], FAST)
    assert fast.states[:, 0].tolist() == [0.5, 2.5, 4.5] and fast.step_s == 0.02
    assert fast.zero_s == pytest.approx(199.5 / 16000 + 0.005)
    assert framed(torch.ones(1, 3), FAST).states.shape == (1, 3)


def test_segments_reach_the_end_of_the_row_and_boundaries_do_not_count_there() -> None:
    frames = Framed(np.random.default_rng(0).standard_normal((50, 4)), 0.02, 0.01)
    setting = CutSetting("uniform", "none", 0.25)
    found = segments_s(frames, {"none": [FrameStretch(0, 50)]}, [setting], 1.0)[setting]
    assert found[0][0] == 0.0 and found[-1][1] == 1.0
    assert boundaries_s(found, 1.0, 0.05).tolist() == pytest.approx([0.26, 0.5, 0.76])
    assert boundaries_s([(0.3, 0.5), (0.5, 0.7)], 1.0, 0.05).tolist() == [0.3, 0.5, 0.7]
    assert len(boundaries_s([], 1.0, 0.05)) == 0


def test_pauses_by_energy_and_by_norm() -> None:
    states = np.ones((50, 2))
    states[20:30] *= 0.01
    found = stretches_of(Framed(states, 0.02, 0.01), [(0.1, 0.5)])
    assert found["energy"] == [(5, 25)] and found["norm"] == [(0, 20), (30, 50)] and found["none"] == [(0, 50)]
    assert stretches_of(Framed(states, 0.02, 0.01), [])["energy"] == [(0, 50)]
