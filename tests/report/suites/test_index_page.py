"""What the first page shows."""

from __future__ import annotations

from dataclasses import replace

from toys.suite_results import KINDS, QUALITY

from audiossl.experiments.suites.definition import SuiteTask
from audiossl.report.suites.index_page import index_facts
from audiossl.report.suites.parts import SitePlaces
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings, standings


def test_the_leaderboard_has_a_column_for_each_view(found: SuiteResults, ranked: Standings) -> None:
    facts = index_facts(found, ranked, SitePlaces(found, ranked))
    assert [column["view"] for column in facts["columns"]] == ["score", "rank", *KINDS]
    assert [view for view, _, _ in facts["view_charts"]] == ["score", "rank", *KINDS]
    assert [row["name"] for row in facts["rows"]] == [*QUALITY, "hf:broken"]
    first = {column["view"]: column["first"] for column in facts["columns"]}
    assert (first["score"], first["rank"], first["reading/words"]) == ("descending", "ascending", "ascending")
    best, *_, broken = facts["rows"]
    assert all(cell.best for cell in best["cells"]) and best["cells"][2].mark == "corpus seen"
    assert broken["cells"][0].mark == "partial: 4 of 5" and broken["cells"][0].key == ""
    assert broken["cells"][1].text == "-"


def test_costs_are_drawn_of_what_is_known(found: SuiteResults, ranked: Standings) -> None:
    facts = index_facts(found, ranked, SitePlaces(found, ranked))
    captions = [chart.caption for chart in facts["costs"]]
    assert captions[:2] == ["Quality and speed", "Quality and size"]
    assert captions[2] == "Quality and energy. Not known of spectral, spectral:random"


def test_what_is_missing_is_said(found: SuiteResults, ranked: Standings) -> None:
    tasks = {**found.suite.tasks, "other/task": SuiteTask(metric="mtwv", downstream="query_by_example", get="Ask.")}
    more = replace(found, suite=replace(found.suite, tasks=tasks))
    made = standings(more)
    facts = index_facts(more, made, SitePlaces(more, made))
    (task,) = facts["untouched"]
    assert task["name"] == "other/task" and "does not exist in this version" in task["why"] and task["get"] == "Ask."
    assert facts["rows"][0]["cells"][0].mark == "partial: 5 of 6"
    assert len(facts["failures"]) == 2 and "ran out of memory" in facts["failures"][0]["error"]


def test_no_number_of_draws_makes_a_certainty(found: SuiteResults, ranked: Standings) -> None:
    wins = index_facts(found, ranked, SitePlaces(found, ranked))["wins"]
    assert [row["name"] for row in wins] == list(QUALITY)
    assert wins[0]["cells"][0] is None and wins[0]["cells"][3]["text"] == ">99" and wins[3]["cells"][0]["text"] == "<1"


def test_one_encoder_has_a_page_without_ranks(found: SuiteResults) -> None:
    alone = replace(found, cells=[cell for cell in found.cells if cell.upstream == "spectral"])
    made = standings(alone)
    facts = index_facts(alone, made, SitePlaces(alone, made))
    assert facts["wins"] == [] and facts["costs"] == []
    assert [column["view"] for column in facts["columns"]] == ["score", *KINDS]
