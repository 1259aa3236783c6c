"""Runs that are fused have predicted the same items."""

from __future__ import annotations

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.training.downstream import Downstream
from audiossl.training.fusion import check_same_items

ROWS = [{"id": "a", "target": 1}, {"id": "b", "target": 0}]


def test_items_and_targets_must_be_the_same() -> None:
    check_same_items([ROWS, ROWS])
    with pytest.raises(AudiosslError, match=r"the first has 'b' \(0\), run 2 has 'b' \(1\)"):
        check_same_items([ROWS, [ROWS[0], {"id": "b", "target": 1}]])
    with pytest.raises(AudiosslError, match="first run predicted 2 items and run 3 1"):
        check_same_items([ROWS, ROWS, ROWS[:1]])


def test_a_task_without_a_way_says_so() -> None:
    with pytest.raises(AudiosslError, match="no way to fuse"):
        Downstream.fuse([ROWS], [ROWS])
