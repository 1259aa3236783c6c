"""Levels, rooms, bands and codings, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import fftconvolve

from audiossl.data.augmentations.config import Coding
from audiossl.data.augmentations.signal import band_limited, can_code, coded, mixed, power, reverberated

RATE = 16000
DRAW = np.random.default_rng(0)
SOUND = (0.1 * DRAW.standard_normal(RATE)).astype(np.float32)
NOISE = (3.0 * DRAW.standard_normal(RATE)).astype(np.float32)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 17.3])
def test_noise_lies_as_far_below_the_sound_as_is_asked(snr_db: float) -> None:
    added = mixed(SOUND, NOISE, snr_db) - SOUND
    assert 10 * math.log10(power(SOUND) / power(added)) == pytest.approx(snr_db, abs=0.1)


def test_silence_stays_and_adds_nothing() -> None:
    silence = np.zeros_like(SOUND)
    assert np.array_equal(mixed(silence, NOISE, 0.0), silence)
    assert np.array_equal(mixed(SOUND, silence, 0.0), SOUND)
    assert np.array_equal(coded(silence, RATE, "mp3", 0.5), silence)
    assert np.array_equal(reverberated(silence, np.ones(3)), silence)


def test_a_room_is_a_convolution_without_its_delay_at_the_same_energy() -> None:
    response = np.zeros(4000)
    response[300:] = 0.3 * DRAW.standard_normal(3700) * np.exp(-np.arange(3700) / 800)
    response[100] = 2.0  # the direct path
    heard = reverberated(SOUND, response)
    whole = fftconvolve(SOUND, response)[100 : 100 + len(SOUND)]
    assert heard.dtype == np.float32 and power(heard) == pytest.approx(power(SOUND), rel=1e-5)
    assert heard == pytest.approx(whole * math.sqrt(power(SOUND) / np.mean(whole**2)), abs=1e-5)
    alone = np.zeros(500)
    alone[77] = -0.5
    assert reverberated(SOUND, alone) == pytest.approx(-SOUND, abs=1e-6)


def test_a_band_keeps_what_is_in_it_and_nothing_else() -> None:
    time = np.arange(RATE) / RATE
    tones = {hz: np.sin(2 * np.pi * hz * time).astype(np.float32) for hz in (100, 1000, 6000)}
    kept = {hz: power(band_limited(tone, RATE, 300, 3400)) / power(tone) for hz, tone in tones.items()}
    assert kept[1000] == pytest.approx(1, abs=0.01) and max(kept[100], kept[6000]) < 0.01
    assert band_limited(tones[6000], RATE, 0, 9000) == pytest.approx(tones[6000], abs=1e-5)


@pytest.mark.parametrize("coding", ["mu_law", "a_law", "mp3", "vorbis", "opus"])
def test_codings_keep_length_level_and_place(coding: Coding) -> None:
    if not can_code(coding):
        pytest.skip(f"libsndfile without {coding}")
    tone = (2 * np.sin(np.arange(11111) / 9) * np.hanning(11111)).astype(np.float32)  # above full scale
    for rate in (8000, 22050):
        for quality in (0.0, 1.0):
            heard = coded(tone, rate, coding, quality)
            assert heard.shape == tone.shape and heard.dtype == np.float32 and not np.array_equal(heard, tone)
            assert np.corrcoef(heard, tone)[0, 1] > (0.9 if quality == 0 else 0.99)
