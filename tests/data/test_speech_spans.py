"""Speech by energy: tones between silences."""

from __future__ import annotations

import numpy as np

from audiossl.data.speech_spans import speech_spans

RATE_HZ = 8000


def made_of(*parts: tuple[float, float]) -> np.ndarray:
    """Tones of (seconds, amplitude) one after another."""
    tones = [a * np.sin(0.7 * np.arange(int(seconds * RATE_HZ))) for seconds, a in parts]
    return np.concatenate(tones).astype(np.float32)


def test_tones_are_found_between_silences() -> None:
    sound = made_of((0.3, 0.0), (1.0, 0.2), (0.5, 1e-4), (0.4, 0.1), (0.2, 0.0))
    assert speech_spans(sound, RATE_HZ) == [(2400, 10400), (14400, 17600)]


def test_short_pauses_are_closed_and_clicks_are_dropped() -> None:
    sound = made_of((0.5, 0.2), (0.1, 0.0), (0.5, 0.2), (0.4, 0.0), (0.02, 0.2), (0.4, 0.0))
    assert speech_spans(sound, RATE_HZ) == [(0, 8800)]


def test_silence_and_nothing_have_none() -> None:
    assert speech_spans(np.zeros(8000, dtype=np.float32), RATE_HZ) == []
    assert speech_spans(np.zeros(0, dtype=np.float32), RATE_HZ) == []


def test_the_level_does_not_matter() -> None:
    sound = made_of((0.3, 0.0), (1.0, 0.2), (0.5, 1e-4))
    assert speech_spans(sound, RATE_HZ) == speech_spans(0.01 * sound, RATE_HZ)
