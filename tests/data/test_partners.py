"""Parts of other recordings, by a draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lhotse import MonoCut

from audiossl.core.errors import ManifestError
from audiossl.data.partners import Partners
from audiossl.nn.draws import keyed_generator

Row = Callable[..., MonoCut]


@pytest.fixture
def partners(row: Row, sound: Callable[..., Path]) -> Partners:
    """Two recordings of steps: each sample says where it is."""
    rows = []
    for place, (name, rate) in enumerate((("a", 16000), ("b", 8000))):
        ramp = (0.4 * place + np.arange(4000) / 10000).astype(np.float32)
        rows.append(row(name, 4000, rate, sound(f"{name}.wav", ramp, rate, "FLOAT")))
    return Partners(rows)


def test_a_part_follows_from_the_draw(partners: Partners) -> None:
    parts = [partners.draw(keyed_generator(0, n), 1000, 16000) for n in range(20)]
    assert all(len(part) == 1000 for part in parts)
    np.testing.assert_array_equal(parts[3], partners.draw(keyed_generator(0, 3), 1000, 16000))
    firsts = {round(float(part[500]), 3) for part in parts}
    assert len(firsts) > 15
    assert min(firsts) < 0.4 < max(firsts)


def test_the_row_itself_is_not_drawn_and_short_ones_are_whole(partners: Partners) -> None:
    for n in range(10):
        part = partners.draw(keyed_generator(n), 10_000, 8000, beside="a")
        assert len(part) == 4000
        assert part.max() > 0.7


def test_no_recording_is_an_error() -> None:
    with pytest.raises(ManifestError, match="no recording to mix others with"):
        Partners([])
