"""What the page of a task shows."""

from __future__ import annotations

from typing import Any

import pytest
from toys.suite_results import QUALITY

from audiossl.report.suites.parts import SitePlaces
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings
from audiossl.report.suites.task_page import task_facts


def facts_of(found: SuiteResults, ranked: Standings, task: str) -> dict[str, Any]:
    return task_facts(found, ranked, SitePlaces(found, ranked), task)


def test_labels_have_seeds_a_search_and_confusions(found: SuiteResults, ranked: Standings) -> None:
    facts = facts_of(found, ranked, "digits/keywords")
    assert [row["name"] for row in facts["rows"]] == list(QUALITY)
    assert facts["has_seeds"] and facts["rows"][0]["chosen"] == "lr 0.001, interface weighted_sum"
    assert facts["rows"][0]["figure"].mark == "corpus seen"
    assert len(facts["tried"]) == len(facts["errors"]) == len(QUALITY)
    assert [pair["is_real"] for pair in facts["pairs"]] == [True] * 6
    assert {cell.upstream for cell in facts["failures"]} == {"hf:broken"}
    assert facts["references"] == ["16.7", "100.0"] and facts["folds"] is None
    assert "flatters every encoder" in facts["definition"].protocol


def test_trials_have_one_det_chart(found: SuiteResults, ranked: Standings) -> None:
    facts = facts_of(found, ranked, "voices/verification")
    assert facts["order"] == "lower" and len(facts["errors"]) == 1 and "DET" in facts["errors"][0].caption
    better = {pair["verdict"] for pair in facts["pairs"] if pair["first"] == "wave_large"}
    assert better == {"wave_large is better"}  # its rates are lower
    unsure = next(pair for pair in facts["pairs"] if not pair["is_real"])
    assert unsure["verdict"] == "not shown to differ"
    assert facts["hardest"] == []


def test_folds_have_a_table_of_their_own(found: SuiteResults, ranked: Standings) -> None:
    folds = facts_of(found, ranked, "acted/emotion")["folds"]
    assert folds is not None and folds["names"] == list("12345")
    row = next(row for row in folds["rows"] if row["name"] == "spectral")
    values = [cell.metrics["ua"].value for cell in found.folds("acted/emotion", "spectral")]
    assert [cell.key for cell in row["cells"][:5]] == values
    assert row["cells"][5].key == pytest.approx(sum(values) / 5)


def test_players_are_shared_out(found: SuiteResults, ranked: Standings) -> None:
    facts = facts_of(found, ranked, "acted/emotion")
    sounds = [row["audio"].kind for encoder in facts["encoders"] for row in encoder["mistakes"]]
    assert sounds.count("audio") == 20  # 4 of each encoder
    assert [item.sound.kind for item in facts["hardest"]].count("audio") == 10
