"""Resampling and bands against scipy, and what lies in which band."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly
from toys.bandwidth import RATE, tone

from audiossl.upstreams.bandwidth.bands import Bands


def strongest_hz(samples: torch.Tensor, rate: int) -> tuple[float, float]:
    """Frequency and amplitude of the strongest tone away from the ends."""
    middle = samples[len(samples) // 8 : -len(samples) // 8].double()
    window = torch.hann_window(len(middle), periodic=True, dtype=torch.float64)
    spectrum = torch.fft.rfft(middle * window).abs() * 2 / window.sum()
    place = int(spectrum.argmax())
    return place * rate / len(middle), float(spectrum[place])


@pytest.mark.parametrize("from_hz", [32000, 44100, 24000])
def test_resampling_equals_scipy_with_the_same_filter(from_hz: int) -> None:
    bands = Bands(from_hz, 16000)
    wav = torch.randn(1, 3001, generator=torch.Generator().manual_seed(0))
    ours = bands(wav, torch.tensor([3001]))[0, 0].numpy()
    # The filter at `up` times the input's rate: phase by phase, its samples are our taps.
    up, down, reach = bands.up, bands.down, bands.reach
    half = (reach + down) * up
    dense = np.zeros(2 * half + 1)
    for phase, taps in enumerate(bands.taps[:, 0].double().numpy()):
        offsets = np.arange(-reach, reach + down) * up - phase * down
        inside = np.abs(offsets) <= half
        dense[half - offsets[inside]] = taps[inside]
    theirs = resample_poly(wav[0].double().numpy(), up, down, window=dense / up)
    assert len(ours) == len(theirs) == bands.num_samples(3001)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize(
    ("hz", "band", "expected_hz"), [(1000, 0, 1000), (7000, 0, 7000), (9000, 1, 1000), (15000, 1, 7000)]
)
def test_each_band_is_shifted_down_and_keeps_its_direction(hz: float, band: int, expected_hz: float) -> None:
    made = Bands(RATE, 16000, bands=2)(tone(hz)[None], torch.tensor([RATE]))[0]
    found_hz, amplitude = strongest_hz(made[band], 16000)
    assert found_hz == pytest.approx(expected_hz, abs=2)
    assert amplitude == pytest.approx(1.0, abs=2e-3)
    assert strongest_hz(made[1 - band], 16000)[1] < 1e-3


def test_bands_of_a_rate_that_is_no_multiple() -> None:
    """44.1 kHz: the third band reaches from 16 kHz to 22.05 kHz."""
    made = Bands(44100, 16000, bands=3)(tone(18000, 44100, 44100)[None], torch.tensor([44100]))[0]
    assert strongest_hz(made[2], 16000) == pytest.approx((2000, 1.0), abs=2)
    assert max(strongest_hz(made[band], 16000)[1] for band in (0, 1)) < 1e-3


def test_nothing_is_lost_between_bands_and_nothing_folds_in_resampling() -> None:
    wav = torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(0))
    whole = float(wav.square().mean())
    made = Bands(RATE, 16000, bands=2)(wav, torch.tensor([4 * RATE]))
    # White noise has half of its power in each band of half the width; -6 dB at the edge leaves a little out.
    assert float(made.square().mean()) == pytest.approx(whole / 2, rel=0.03)
    for hz in (8010, 8200, 12000, 15900):
        assert strongest_hz(Bands(RATE, 16000)(tone(hz)[None], torch.tensor([RATE]))[0, 0], 16000)[1] < 1e-3
    for hz in (100, 4000, 7300):
        assert strongest_hz(Bands(RATE, 16000)(tone(hz)[None], torch.tensor([RATE]))[0, 0], 16000)[1] > 0.998
