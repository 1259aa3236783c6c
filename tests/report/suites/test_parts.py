"""What the pages of a site share: names of files, cells that can be sorted, numbers in words."""

from __future__ import annotations

from audiossl.core.types import Metric
from audiossl.report.suites.parts import SitePlaces, metric_cell, seconds_written, share_written
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings


def test_every_task_and_encoder_has_a_file_of_its_own(found: SuiteResults, ranked: Standings) -> None:
    places = SitePlaces(found, ranked)
    files = [*map(places.task, found.tasks), *map(places.upstream, found.upstreams)]
    assert len(set(files)) == len(files)
    assert all("/" not in file.removeprefix("tasks/").removeprefix("upstreams/") for file in files)


def test_a_cell_has_a_figure_its_interval_and_a_number_to_sort_by() -> None:
    cell = metric_cell("accuracy", Metric(0.5, 0.4, 0.625), best=True, mark="corpus seen")
    assert "50.0" in cell
    assert any("62.5" in str(part) for part in cell)
    assert any("corpus seen" in str(part) for part in cell)
    assert not any("50.0" in str(part) for part in metric_cell("accuracy", None))


def test_numbers_in_words() -> None:
    assert seconds_written(30) != seconds_written(3000) != ""
    assert share_written(0.25) == "25"
