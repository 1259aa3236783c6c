"""Addresses of pages, each its own, and cells that are sorted."""

from __future__ import annotations

from audiossl.core.types import Metric
from audiossl.experiments.suites.results import CellResult, ResultsFolder
from audiossl.report.suites.parts import PageCharts, SitePlaces, SortableCell, metric_cell, run_command
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings


def test_every_page_has_a_file_of_its_own(found: SuiteResults, ranked: Standings) -> None:
    names = ["a:b", "a/b", "A_B", "../x", "ü %"]
    cells = [CellResult(name, found.tasks[0], name, 0) for name in names]
    places = SitePlaces(SuiteResults(ResultsFolder("r"), found.suite, cells), ranked)
    files = list(places.upstreams.values())
    assert files == ["a_b.html", "a_b-2.html", "A_B-3.html", "x.html", "ü.html"]
    assert places.upstream("ü %") == "upstreams/%C3%BC.html"


def test_encoders_keep_their_colours(found: SuiteResults, ranked: Standings) -> None:
    places = SitePlaces(found, ranked)
    dots = places.dots([("spectral", Metric(0.25, 0.2, 0.3))], "eer")
    assert (dots[0].value, dots[0].low, dots[0].number) == (25.0, 20.0, places.order.index("spectral"))


def test_charts_of_a_page_have_ids_of_their_own() -> None:
    charts = PageCharts()
    first, second = (charts('<svg id="a"></svg>', "x") for _ in range(2))
    assert first.svg != second.svg


def test_a_missing_figure_is_a_dash_without_a_key() -> None:
    assert metric_cell("eer", None) == SortableCell("-")
    assert metric_cell("eer", Metric(0.1, 0.05, 0.2), best=True) == SortableCell("10.0", "[5.0, 20.0]", 0.1, True)


def test_the_command_quotes_names(found: SuiteResults) -> None:
    assert run_command(found, ["a b", "c"]) == "audiossl suite run toy --upstream 'a b' --upstream c --out results"
