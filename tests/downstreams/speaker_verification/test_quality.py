"""Quality measures of recordings, models and trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl.core.errors import AudioError
from audiossl.downstreams.speaker_verification.quality import both_ends, of_models, snr_db, snr_of


def half_loud(noise: float) -> np.ndarray:
    """A second of noise, the second half of it with a tone of power 1/8."""
    time_s = np.arange(16000) / 16000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_s) * (time_s >= 0.5)
    return (tone + noise * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)


@pytest.mark.parametrize("expected", [10.0, 30.0])
def test_snr_is_that_of_the_parts(expected: float) -> None:
    noise = (0.125 / 10 ** (expected / 10)) ** 0.5
    assert snr_db(half_loud(noise), 16000) == pytest.approx(expected, abs=1.5)


def test_silence_and_an_instant_have_a_finite_one_and_a_part_of_a_file_is_read(tmp_path: Path) -> None:
    assert snr_db(np.zeros(16000, np.float32), 16000) == 0.0
    assert snr_db(np.ones(10, np.float32), 16000) == 0.0
    soundfile.write(tmp_path / "a.wav", half_loud(0.001), 16000)
    place = {"path": str(tmp_path / "a.wav"), "start_s": 0.0, "duration_s": 1.0}
    whole, half = (snr_of({"id": "a", "audio": {**place, "duration_s": end}}) for end in (1.0, 0.5))
    assert whole > half + 20
    with pytest.raises(AudioError, match="'a' is no file"):
        snr_of({"id": "a", "audio": {**place, "path": None}})


def test_models_and_trials() -> None:
    values = np.array([1.0, 3.0, 8.0])
    assert of_models(values, [[0, 1], [2]]).tolist() == [2.0, 8.0]
    assert of_models(values, [[0, 1], [2]], total=True).tolist() == [4.0, 8.0]
    assert both_ends(values, values[::-1]).tolist() == [[1, 8], [3, 3], [1, 8]]
