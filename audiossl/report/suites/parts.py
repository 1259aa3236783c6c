"""What the pages of a site share: addresses, charts, colours, and cells that can be sorted."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from audiossl.core.types import Metric
from audiossl.experiments.suites.results import folder_of
from audiossl.metrics.formatting import interval_written, scaled, with_unit, written
from audiossl.report import figures
from audiossl.report.build import Chart
from audiossl.report.suites.reading import SuiteResults, metric_title
from audiossl.report.suites.standings import Standings


class SortableCell(NamedTuple):
    """A cell of a table.

    text: what is shown.
    interval: what stands under it.
    key: what the table is sorted by: a number, or '' for the text itself.
    best: whether it is the best of its column.
    mark: a remark in a word or two, such as 'corpus seen'.
    href: where it leads to, '' for nowhere.
    """

    text: str
    interval: str = ""
    key: float | str = ""
    best: bool = False
    mark: str = ""
    href: str = ""


class PageCharts:
    """Charts of one page, whose ids differ."""

    def __init__(self) -> None:
        self._number = itertools.count()

    def __call__(self, svg: str, caption: str) -> Chart:
        return Chart(Markup(figures.numbered(svg, next(self._number))), caption)  # matplotlib escapes its text


class SitePlaces:
    """The names of the pages, each its own, also where a system does not tell large letters from small ones.

    results: what the site is of.
    made: what they say, for the order of the colours.
    analyses: names of layer-wise analyses.
    """

    def __init__(self, results: SuiteResults, made: Standings, analyses: Sequence[str] = ()) -> None:
        self.tasks = _file_names(results.tasks)
        self.analyses = _file_names(analyses)
        self.upstreams = _file_names(results.upstreams)
        self.order = made.order(results.upstreams)
        self.colours = {name: place for place, name in enumerate(self.order)}

    def task(self, name: str) -> str:
        """Its address from the first page."""
        return f"tasks/{quote(self.tasks[name])}"

    def upstream(self, name: str) -> str:
        """Its address from the first page."""
        return f"upstreams/{quote(self.upstreams[name])}"

    def analysis(self, name: str) -> str:
        """Its address from the first page."""
        return f"analyses/{quote(self.analyses[name])}"

    def pictures(self, analysis: str) -> str:
        """The address of the folder with the pictures of an analysis, from the first page."""
        return self.analysis(analysis).removesuffix(".html")

    def dots(self, metrics: Iterable[tuple[str, Metric]], unit: str = "") -> list[figures.Dot]:
        """Figures of encoders as the chart takes them. unit: the metric by whose unit they are scaled."""
        made = []
        for name, metric in metrics:
            low, high = (None if end is None else scaled(unit, end) for end in (metric.low, metric.high))
            made.append(figures.Dot(name, scaled(unit, metric.value), low, high, self.colours[name]))
        return made


def metric_cell(name: str, metric: Metric | None, *, best: bool = False, mark: str = "") -> SortableCell:
    """A figure with its interval.

    name: of the metric.
    metric: None where there is none.
    best: whether it is the best of its column.
    mark: a remark.
    """
    if metric is None:
        return SortableCell("-")
    return SortableCell(written(name, metric.value), interval_written(name, metric), metric.value, best, mark)


def axis_title(metric: str) -> str:
    """
    >>> axis_title("eer"), axis_title("accuracy"), axis_title("loss")
    ('EER (%)', 'accuracy (%)', 'loss')
    """
    return metric_title(metric) + with_unit(metric).removeprefix(metric)


def seconds_written(seconds: float) -> str:
    """
    >>> seconds_written(8.04), seconds_written(75), seconds_written(7300)
    ('8.0 s', '75 s', '2.0 h')
    """
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def share_written(share: float) -> str:
    """In hundredths. No number of draws makes a certainty.

    >>> share_written(0.973), share_written(0.9999), share_written(0.0)
    ('97', '>99', '<1')
    """
    return f"{100 * share:.0f}" if 0.005 <= share <= 0.995 else ">99" if share > 0.5 else "<1"


def run_command(results: SuiteResults, upstreams: Sequence[str]) -> str:
    """What computes these results again."""
    named = " ".join(f"--upstream {shlex.quote(name)}" for name in upstreams)
    return f"audiossl suite run {shlex.quote(results.suite.name)} {named} --out results"


def _file_names(names: Iterable[str]) -> dict[str, str]:
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = folder_of(name)[:120]
        # Another one of the same letters has a number.
        for number in itertools.count(1):
            file = f"{stem}.html" if number == 1 else f"{stem}-{number}.html"
            if file.casefold() not in taken:
                break
        taken.add(file.casefold())
        made[name] = file
    return made
