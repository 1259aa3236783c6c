"""Alignments as aligners write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audiossl.core.errors import LabelError
from audiossl.data.ctm import read_ctm


def test_stretches_are_sorted_and_asked_by_time(table: Callable[..., Path]) -> None:
    found = read_ctm(table("a.ctm", ";; made by hand\nx 1 0.5 0.5 b 0.9\nx 1 0.0 0.4 a\ny A 1 2 c\n"))
    assert list(found) == ["x", "y"]
    assert found["x"].labels == ("a", "b")
    times = np.array([-0.1, 0.0, 0.45, 0.5, 0.99, 1.0])
    assert found["x"].at(times) == [None, "a", None, "b", "b", None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x 1 0.5 a\n", "line 1 must be `ID CHANNEL START DURATION LABEL`, not 'x 1 0.5 a'"),
        ("x 1 0 1 a\nx 1 one 1 b\n", "line 2 must be"),
        ("x 1 0 -1 a\n", "duration -1 must be numbers of seconds"),
        ("x 1 nan 1 a\n", "start nan"),
        (";; nothing\n", "has no line with a label"),
    ],
)
def test_other_lines_are_an_error(table: Callable[..., Path], text: str, sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence):
        read_ctm(table("a.ctm", text))
