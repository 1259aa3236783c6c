"""What the report says of slots."""

from __future__ import annotations

import pytest

from audiossl.core.errors import LabelError
from audiossl.data.text import TextConfig, TextUnits
from audiossl.downstreams.slot_filling.judging import SlotJudge, types_table
from audiossl.training.task import Prediction

JUDGE = SlotJudge(TextUnits(TextConfig(symbols=["a", "b"], slots=True)))


def row(target: str | None, predicted: str, name: str = "1") -> Prediction:
    return {"id": name, "target": target, "predicted": predicted, "speaker": None}


def test_an_utterance_counts_by_its_types() -> None:
    made = JUDGE.counted(row("B-x a E-x B-y b E-y", "B-x b E-x"))
    assert (made["num_errors"], made["num_units"], made["measure"]) == (0.333333, 1, "slot type errors")
    assert JUDGE.counted(row(None, "a")) == row(None, "a")


def test_types_are_listed_with_what_became_of_them() -> None:
    rows = [row("B-x a E-x b", "B-x a E-x b"), row("B-x a E-x B-x b E-x", "B-x a E-x"), row("a", "B-x a E-x")]
    assert types_table([*rows, row(None, "B-z a E-z")]).rows == [["x", 3, 2, 2, 1, 2]]


def test_scores_are_of_the_rows_with_a_target() -> None:
    found = JUDGE.score([row("B-x a E-x b", "B-x a E-x a", "1"), row(None, "a", "2")])
    assert (found["slot_f1"].value, found["wer"].value) == (1.0, 0.5)
    assert JUDGE.facts([row("B-x a E-x b", "b")])["edits"]["num_units"] == 2
    with pytest.raises(LabelError, match="nothing to score"):
        JUDGE.score([row(None, "a")])
