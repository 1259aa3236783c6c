"""Two upstreams on every task of a suite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiossl.core.errors import UnknownNameError, did_you_mean
from audiossl.metrics.formatting import clusters_written, with_unit, written
from audiossl.report.comparison import signed
from audiossl.report.suites.reading import read_results
from audiossl.report.suites.standings import PairTest, TaskStandings, standings


@dataclass(frozen=True)
class UpstreamComparison:
    """The first upstream against the second.

    first, second: their names.
    tasks: those that both have, with the test of the first minus the second. None where nothing can be paired.
    notes: what a reader must know.
    """

    first: str
    second: str
    tasks: list[tuple[TaskStandings, PairTest | None]]
    notes: list[str]

    @property
    def rows(self) -> list[list[str]]:
        """Lines of a table: task, metric, both figures, difference, interval, p-value, corrected, clusters."""
        return [self._row(task, pair) for task, pair in self.tasks]

    def as_json(self) -> dict[str, Any]:
        """For a program to read. Figures are not scaled."""
        rows = []
        for task, pair in self.tasks:
            values = {name: task.figures[name].metric.as_json() for name in (self.first, self.second)}
            test = pair.difference._asdict() | {"corrected_p": pair.corrected} if pair else None
            rows.append({"task": task.name, "metric": task.definition.metric, "figures": values, "difference": test})
        return {"first": self.first, "second": self.second, "tasks": rows, "notes": self.notes}

    def _row(self, task: TaskStandings, pair: PairTest | None) -> list[str]:
        name = task.definition.metric
        figures = [written(name, task.figures[each].metric.value) for each in (self.first, self.second)]
        shown = [task.name, with_unit(name), *figures]
        if pair is None:
            return [*shown, "", "", "", "", ""]
        found = pair.difference
        interval = ""
        if found.low is not None and found.high is not None:
            interval = f"{signed(name, found.low)} to {signed(name, found.high)}"
        ps = ["" if p is None else f"{p:.3g}" for p in (found.p_value, pair.corrected)]
        over = clusters_written(found.num_clusters, found.cluster) if found.num_clusters else ""
        return [*shown, signed(name, found.value), interval, *ps, over]


def compare_upstreams(results: Path, first: str, second: str) -> UpstreamComparison:
    """Paired differences of two upstreams on all tasks that both have.

    Raises UnknownNameError for an upstream that the results do not have.
    """
    found = read_results(results)
    for name in (first, second):
        if name not in found.upstreams:
            raise UnknownNameError(f"{results} has no upstream {name!r}. {did_you_mean(name, found.upstreams)}")
    made = standings(found)
    both = [task for task in made.tasks.values() if {first, second} <= task.figures.keys()]
    tasks = [(task, _pair(task, first, second)) for task in both]
    notes = [f"Each line is {first} minus {second}. p (Holm) is corrected for all pairs and tasks of the folder."]
    win = made.win(first, second)
    if win is not None:
        notes.append(f"{first} is ahead of {second} in mean rank in {win:.0%} of the draws of items and tasks.")
    notes += [f"{task.name}: {note}" for task, _ in tasks for note in task.notes]
    return UpstreamComparison(first, second, tasks, notes)


def _pair(task: TaskStandings, first: str, second: str) -> PairTest | None:
    for pair in task.pairs:
        if (pair.first, pair.second) == (first, second):
            return pair
        if (pair.first, pair.second) == (second, first):
            return _turned(pair)
    return None


def _turned(pair: PairTest) -> PairTest:
    """The same test the other way round."""
    old = pair.difference
    low, high = (None if bound is None else -bound for bound in (old.high, old.low))
    return pair._replace(
        first=pair.second, second=pair.first, difference=old._replace(value=-old.value, low=low, high=high)
    )
