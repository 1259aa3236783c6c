"""Figures by target, and their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audiossl.core.errors import LabelError
from audiossl.downstreams.multi_task.classes import ClassHead
from audiossl.downstreams.multi_task.numbers import NumberHead
from audiossl.downstreams.multi_task.scoring import TargetScores, figures_table
from audiossl.downstreams.multi_task.target import Target

HEADS = (ClassHead("kind", Target(labels=["a", "b"]), 2), NumberHead("x", Target("number", scale=1.0), 2))


def rows(num_items: int = 40, constant: bool = False) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(num_items):
        x = 1.0 if constant else float(rng.standard_normal())
        target = {"kind": None if number % 3 == 0 else "ab"[number % 2], "x": None if number % 4 == 0 else x}
        predicted = {"kind": "ab"[number % 5 % 2], "x": x + 0.3 * float(rng.standard_normal())}
        made.append({"id": str(number), "target": target, "predicted": predicted, "speaker": f"s{number % 7}"})
    return [row for row in made if any(value is not None for value in row["target"].values())]


def test_each_target_is_scored_on_the_rows_that_have_it() -> None:
    scores = TargetScores(HEADS, rows())
    assert [len(each.rows) for each in scores.known] == [26, 30]
    found = scores.by_target()
    assert {"kind.uar", "kind.f1", "x.ccc", "x.mae"} <= set(found)
    mean = scores.mean()["mean"]
    assert mean.value == pytest.approx((found["kind.uar"].value + found["x.ccc"].value) / 2)
    assert (mean.num_clusters, mean.cluster) == (7, "speaker")
    table = figures_table(scores)
    assert next(line[1] for line in table.rows if line[0] == "x") == 30


def test_the_mean_says_what_it_is_without() -> None:
    scores = TargetScores(HEADS, rows(constant=True))
    mean = scores.mean()["mean"]
    assert mean.value == pytest.approx(scores.by_target()["kind.uar"].value)
    assert "without x, where it is undefined" in mean.remark
    assert TargetScores(HEADS[1:], rows(constant=True)).mean() == {}


def test_rows_without_a_target_are_no_score() -> None:
    with pytest.raises(LabelError, match="None of the 1 predictions has a target"):
        TargetScores(HEADS, [{"id": "a", "target": None, "predicted": {"kind": "a", "x": 1.0}}])
