"""Speech by its level: where it begins and ends, block by block, and where there is none."""

from __future__ import annotations

import numpy as np
import torch

from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.downstreams.speaker_verification.diarizing.speech import (
    Stretch,
    audible_in,
    levels_of,
    speech_of,
    united_stretches,
)

RATE = 16000


def bursts(*spans: tuple[float, float], lasts_s: float = 8.0, noise: float = 1e-3) -> torch.Tensor:
    samples = noise * np.random.default_rng(0).standard_normal(int(lasts_s * RATE))
    for start_s, end_s in spans:
        first, stop = int(start_s * RATE), int(end_s * RATE)
        samples[first:stop] += 0.1 * np.random.default_rng(1).standard_normal(stop - first)
    return torch.from_numpy(samples.astype(np.float32))


def test_speech_is_where_the_level_rises() -> None:
    levels = levels_of([bursts((1, 3), (3.2, 4), (6, 7.5), (5, 5.05))], RATE)
    found = speech_of(levels, DiarizeOptions(pad_s=0.0))
    assert len(found) == 2  # the pause of 0.2 s is closed, the click is dropped
    assert np.abs(np.array(found) - [(1, 4), (6, 7.5)]).max() < 0.08
    padded = speech_of(levels, DiarizeOptions(pad_s=0.5))
    assert padded[0].start_s == found[0].start_s - 0.5
    assert len(speech_of(levels, DiarizeOptions(min_silence_s=0.05, pad_s=0.0))) == 3


def test_pauses_are_not_audible() -> None:
    found = audible_in(levels_of([bursts((1, 3), (3.2, 4))], RATE), DiarizeOptions())
    assert np.abs(np.array([found[0][0], found[-1][1]]) - (1, 4)).max() < 0.05
    assert not any(start_s < 3.05 < end_s or start_s < 3.15 < end_s for start_s, end_s in found)


def test_levels_do_not_depend_on_the_blocks() -> None:
    sound = bursts((1, 2), lasts_s=3)
    whole = levels_of([sound], RATE)
    assert len(whole) == (len(sound) - 400) // 160 + 1
    np.testing.assert_allclose(levels_of(sound.split(777), RATE), whole, atol=1e-4)


def test_nothing_stands_out_of_silence_noise_or_next_to_no_sound() -> None:
    for sound in (torch.zeros(3 * RATE), bursts(lasts_s=3), bursts(lasts_s=0.02), torch.zeros(0)):
        assert speech_of(levels_of([sound], RATE), DiarizeOptions()) == []


def test_stretches_that_are_near_become_one() -> None:
    assert united_stretches([Stretch(0, 1), Stretch(1.2, 2), Stretch(2.5, 3)], 0.5) == [Stretch(0, 2), Stretch(2.5, 3)]
