"""An encoder tells what lies below half of its rate, and guesses above."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.encoder_rates import encoded, encoders_of, gap, make_calls, probed


@pytest.mark.slow
def test_rates_are_ordered_as_the_bands_are(tmp_path: Path) -> None:
    encoders = encoders_of({})
    for band, told in (((4000, 8000), (False, True, True)), ((8000, 16000), (False, False, True))):
        data = make_calls(tmp_path / str(band[0]), band, 120)
        for rate, expected in zip((8000, 16000, 32000), told, strict=True):
            probe = probed(encoded(encoders[rate][0], data))
            value = probe.figure.value
            assert (value > 0.9) == expected, (band, rate, value)
            assert expected or value < 0.75
            assert gap(probe, probe).startswith("+0.0")
