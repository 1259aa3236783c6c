"""An encoder tells what lies below half of its rate, and guesses above."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.encoder_rates import figure, make_calls


@pytest.mark.slow
def test_rates_are_ordered_as_the_bands_are(tmp_path: Path) -> None:
    for band, told in (((4000, 8000), (False, True, True)), ((8000, 16000), (False, False, True))):
        data = make_calls(tmp_path / str(band[0]), band, 120)
        for rate, expected in zip((8000, 16000, 32000), told, strict=True):
            value = float(figure("log_mel", rate, data, tmp_path / "out").split()[0])
            assert (value > 90) == expected, (band, rate, value)
            assert expected or value < 75
