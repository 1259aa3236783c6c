"""Rows of several recordings and speakers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lhotse import MonoCut, SupervisionSegment


@pytest.fixture
def rows_of(row: Callable[..., MonoCut]) -> Callable[..., list[MonoCut]]:
    """Rows of several recordings, two recordings a speaker, with the labels a and b in turn."""

    def make(num_recordings: int = 12, per_recording: int = 6) -> list[MonoCut]:
        made = []
        for recording in range(num_recordings):
            for number in range(per_recording):
                cut = row(f"r{recording}-{number}", 8000, path=f"r{recording}.wav", start=number * 100, kept=100)
                label, speaker = "ab"[(recording + number) % 2], f"s{recording // 2}"
                said = SupervisionSegment(cut.id, cut.id, 0, 0.01, speaker=speaker, custom={"label": label})
                cut.supervisions = [said]
                made.append(cut)
        return made

    return make
