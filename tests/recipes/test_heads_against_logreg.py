"""The heads of the recipes as they come are no worse than logistic regression on the same features."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from audiossl.core.types import Metric
from benchmarks.heads_against_logreg import PROBLEMS, Cell, Problem, compare, summary


def cell(value: float, low: float, high: float, rival: float) -> Cell:
    return Cell(Problem("a/b", "a", "accuracy"), "log_mel", Metric(value, low, high), rival, rival, 1.0)


def test_the_summary_names_what_falls_behind() -> None:
    inside, below, behind = cell(0.5, 0.4, 0.6, 0.55), cell(0.5, 0.4, 0.6, 0.3), cell(0.5, 0.4, 0.6, 0.7)
    assert [each.reached for each in (inside, below, behind)] == [True, True, False]
    assert summary([inside, below]).startswith("Mean difference to logistic regression on all layers: +7.5 points.")
    assert summary([inside, below]).endswith("in every row.")
    assert summary([behind]).endswith("in all but a/b with log_mel.")
    assert inside.row()[2:6] == ["50.0 [40.0, 60.0]", "55.0", "55.0", "-5.0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folders", "least"),
    [(("wakewords",), -0.035), pytest.param(("wakewords", "esc10"), -0.02, marks=pytest.mark.long)],
    ids=["words", "all"],
)
def test_defaults_reach_logistic_regression(tmp_path: Path, folders: tuple[str, ...], least: float) -> None:
    if "AUDIOSSL_DATA" not in os.environ:
        pytest.skip("AUDIOSSL_DATA names no folder of corpora")
    data = Path(os.environ["AUDIOSSL_DATA"])
    torch.set_num_threads(1)
    chosen = [problem for problem in PROBLEMS if problem.folder.name in folders]
    cells = [compare(problem, encoder, data, tmp_path) for problem in chosen for encoder in ("log_mel", "tera_mini")]
    assert all(each.reached for each in cells), summary(cells)
    assert sum(each.difference for each in cells) / len(cells) > least, summary(cells)
