"""No value that is held out is in training and test, and each segment is tested at most once."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.segment_probes.folds import cells_of, draw_parts
from audiossl.core.errors import LabelError

SPEAKERS = [f"s{number % 10}" for number in range(200)]
SYLLABLES = [f"y{number // 10 % 7}" for number in range(200)]
TONES = [str(number % 3) for number in range(200)]


@pytest.mark.parametrize("classes", [TONES, None])
def test_one_column(classes: list[str] | None) -> None:
    parts = draw_parts(SPEAKERS, 5, 0, column="speaker", classes=classes)
    cells = list(cells_of({"speaker": parts}, 5))
    assert len(cells) == 5
    assert np.sum([cell.test for cell in cells], axis=0).tolist() == [1] * 200
    names = np.array(SPEAKERS)
    for cell in cells:
        assert not set(names[cell.train]) & set(names[cell.test])
        assert not set(names[cell.fit]) & set(names[cell.dev])
        assert (cell.train == (cell.fit | cell.dev)).all() and not (cell.train & cell.test).any()


def test_two_columns_are_both_unseen() -> None:
    parts = {
        "speaker": draw_parts(SPEAKERS, 3, 0, column="speaker", classes=TONES),
        "syllable": draw_parts(SYLLABLES, 3, 0, column="syllable", classes=TONES),
    }
    cells = list(cells_of(parts, 3))
    assert len(cells) == 9 and np.sum([cell.test for cell in cells], axis=0).tolist() == [1] * 200
    for cell in cells:
        for values in (np.array(SPEAKERS), np.array(SYLLABLES)):
            for first, second in ((cell.train, cell.test), (cell.fit, cell.dev), (cell.fit, cell.test)):
                assert not set(values[first]) & set(values[second])


def test_too_few_are_an_error() -> None:
    with pytest.raises(LabelError, match=r"Segments have 2 value\(s\) of 'speaker', fewer than 3 folds"):
        draw_parts(["a", "b"] * 5, 3, 0, column="speaker")
    # Each speaker says one syllable: nobody is left who shares neither.
    alone = np.arange(3)
    with pytest.raises(LabelError, match="3 segments are too few for 3 folds of 'speaker' and 'syllable'"):
        list(cells_of({"speaker": alone, "syllable": (alone + np.array([0, 0, 0]))[::-1].copy()}, 3))
