"""What the results of a suite say of its encoders: figures with intervals, scores, ranks, wins and paired tests.

* A figure is the mean over training seeds. Its interval is that of the test set for the average run: for other speakers
  (recordings, items) of the same kind, and not for other seeds. How far apart the seeds are is given beside it.
* Ranks, wins and paired tests are of the items that all encoders were scored on, by `audiossl.metrics.rankings`.
  Where a figure cannot be computed from predictions, encoders are taken as measured on different items.
* An encoder is ranked if it has all tasks that any encoder has. The score of one that lacks a task of the suite is that
  of the tasks that it has, and is called partial.
* p-values are corrected for all pairs of encoders on all tasks.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.core.types import Metric
from audiossl.experiments.suites.definition import SuiteTask
from audiossl.experiments.suites.results import CellResult
from audiossl.metrics.frame_labels import same_targets
from audiossl.metrics.jackknife import Difference, Scale, metric_of
from audiossl.metrics.rankings import (
    Contest,
    RankedSystems,
    contest_of,
    contest_of_intervals,
    holm,
    mean_scores,
    rank_systems,
)
from audiossl.report.estimates import Row, Scored, average_run, paired, scored_together
from audiossl.report.suites.reading import SuiteResults, trained_on_test

_RATES = ("wer", "cer", "per", "der")


class Figure(NamedTuple):
    """An encoder on a task.

    metric: the mean over seeds.
    seeds: the value of each.
    interface: of the chosen runs.
    num_items: that were scored.
    """

    metric: Metric
    seeds: list[float]
    interface: str
    num_items: int

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds, None of a single one."""
        return float(np.std(self.seeds, ddof=1)) if len(self.seeds) > 1 else None


class PairTest(NamedTuple):
    """Two encoders on a task.

    difference: first minus second.
    corrected: its p-value, corrected for all pairs and tasks. None where there is none.
    """

    task: str
    first: str
    second: str
    difference: Difference
    corrected: float | None = None

    @property
    def is_real(self) -> bool:
        return self.corrected is not None and self.corrected < 0.05


@dataclass(frozen=True)
class TaskStandings:
    """All encoders on a task, the best first.

    figures: by encoder.
    contest: of the encoders with a figure, in the order of `figures`. None where nobody has one.
    pairs: of those encoders.
    notes: what a reader must know.
    """

    name: str
    definition: SuiteTask
    figures: dict[str, Figure]
    contest: Contest | None
    pairs: list[PairTest]
    notes: list[str] = field(default_factory=list)

    def rank(self, upstream: str) -> float | None:
        """Of its figure among all that have one."""
        if self.contest is None or upstream not in self.figures:
            return None
        return float(self.contest.ranks(self.contest.values)[list(self.figures).index(upstream)])


@dataclass(frozen=True)
class Standings:
    """What a leaderboard shows.

    tasks: by name.
    ranked: encoders that have all tasks, the best first.
    ranks: of those. None of fewer than two.
    scores: of each encoder over the tasks with reference points that it has. Without a figure it has none.
    missing: by encoder, the tasks of the suite that it lacks.
    warnings: by encoder, the test sets that its training is said to have had, by task.
    """

    tasks: dict[str, TaskStandings]
    ranked: list[str]
    ranks: RankedSystems | None
    scores: dict[str, Metric]
    missing: dict[str, list[str]]
    warnings: dict[str, dict[str, list[str]]]

    def rank(self, upstream: str) -> Metric | None:
        """The mean rank with its interval."""
        if self.ranks is None or upstream not in self.ranked:
            return None
        place, found = self.ranked.index(upstream), self.ranks
        low, high = (None if side is None else float(side[place]) for side in (found.low, found.high))
        return Metric(float(found.mean_rank[place]), low, high, found.num_tasks, "task")

    def win(self, first: str, second: str) -> float | None:
        """How often the first encoder is ahead of the second one. None where one of them is not ranked."""
        if self.ranks is None or first not in self.ranked or second not in self.ranked:
            return None
        return float(self.ranks.wins[self.ranked.index(first), self.ranked.index(second)])

    def order(self, upstreams: Sequence[str]) -> list[str]:
        """By mean rank. Encoders without one come last, by score."""
        ranks, scores = {name: self.rank(name) for name in upstreams}, self.scores

        def key(name: str) -> tuple[float, float]:
            rank = ranks[name]
            return (np.inf if rank is None else rank.value, -scores[name].value if name in scores else np.inf)

        return sorted(upstreams, key=key)


def standings(results: SuiteResults) -> Standings:
    """What the results of a suite say of its encoders."""
    tasks = _corrected({name: task_standings(results, name) for name in results.tasks})
    tried = {name: task for name, task in tasks.items() if task.figures}
    complete = [name for name in results.upstreams if tried and all(name in task.figures for task in tried.values())]
    ranks = None
    if len(complete) > 1:
        ranks = rank_systems([_contest_among(task, complete) for task in tried.values()])
    made = Standings(
        tasks=tasks,
        ranked=complete,
        ranks=ranks,
        scores={name: score for name in results.upstreams if (score := _score(tried, name)) is not None},
        missing={
            name: [task for task in results.tasks if name not in tasks[task].figures] for name in results.upstreams
        },
        warnings={name: found for name in results.upstreams if (found := _leaks(results, name))},
    )
    if ranks is None:
        return made
    best_first = made.order(complete)
    places = [complete.index(name) for name in best_first]
    low, high = (None if side is None else side[places] for side in (ranks.low, ranks.high))
    wins = ranks.wins[np.ix_(places, places)]
    return replace(made, ranked=best_first, ranks=RankedSystems(ranks.mean_rank[places], low, high, wins, len(tried)))


def task_standings(results: SuiteResults, task: str) -> TaskStandings:
    """All encoders on a task. p-values are not corrected yet."""
    definition, notes = results.task(task), list[str]()
    cells = {name: found for name in results.upstreams if (found := results.whole(task, name))}
    runs = _scored_runs(results, cells, definition.metric, notes)
    figures = {name: _figure(found, runs.get(name), definition.metric) for name, found in cells.items()}
    sign = 1 if definition.mode == "min" else -1
    figures = dict(sorted(figures.items(), key=lambda item: sign * item[1].metric.value))
    contest, pairs, lower = None, list[PairTest](), definition.mode == "min"
    if figures and runs:
        systems = [runs[name].scored for name in figures]
        contest = contest_of([each.estimate for each in systems], systems[0].clusters, lower_is_better=lower)
        pairs = [
            PairTest(task, one, other, paired(runs[one].scored, runs[other].scored))
            for one, other in itertools.combinations(figures, 2)
        ]
    elif figures:
        scale = _scale_of(definition.metric, [figure.metric.value for figure in figures.values()])
        contest = contest_of_intervals([each.metric for each in figures.values()], scale, lower_is_better=lower)
    return TaskStandings(task, definition, figures, contest, pairs, notes)


class _Run(NamedTuple):
    """The average run of an encoder on the items that all encoders have, and whether these are all of its items."""

    scored: Scored
    has_all: bool


def _scored_runs(
    results: SuiteResults, cells: Mapping[str, list[CellResult]], metric: str, notes: list[str]
) -> dict[str, _Run]:
    """By encoder, or nothing where the figure cannot be computed from what all were scored on. Notes say why."""
    tables: dict[str, list[dict[str, Row]]] = {}
    labels, cluster = list[str](), "speaker"
    for name, found in cells.items():
        evaluations = [results.evaluation(cell) for cell in found]
        tables[name] = [each.comparable() for each in evaluations if each is not None]
        if len(tables[name]) < len(found) or not all(tables[name]):
            notes.append(f"no predictions of {name} are left, so that nothing is paired")
            return {}
        for each in filter(None, evaluations):
            labels, cluster = each.labels or labels, each.cluster
    every = [rows for found in tables.values() for rows in found]
    common = [name for name in every[0] if all(name in rows for rows in every)] if every else []
    if not common or not all(same_targets([rows[name] for rows in every]) for name in common):
        notes.append("encoders were scored on different items, so that nothing is paired")
        return {}
    if most := max(len(rows) for rows in every) - len(common):
        notes.append(
            f"ranks and pairs are of the {len(common)} items that all encoders have, up to {most} are left out"
        )
    try:
        scored = scored_together([[rows[name] for name in common] for rows in every], metric, labels, cluster)
    except LabelError as error:
        notes.append(f"nothing is paired: {error}")
        return {}
    if scored[0].measure != metric:
        notes.append(f"{metric} cannot be computed from predictions, so that nothing is paired")
        return {}
    made, place = dict[str, _Run](), iter(scored)
    for name, seeds in tables.items():
        whole = all(len(rows) == len(common) for rows in seeds)
        made[name] = _Run(average_run([next(place) for _ in seeds]), whole)
    return made


def _figure(cells: Sequence[CellResult], run: _Run | None, metric: str) -> Figure:
    found = [cell.metrics[metric] for cell in cells]
    mean = found[0]
    if len(found) > 1 and run is not None and run.has_all:
        mean = metric_of(run.scored.estimate, run.scored.clusters)
    elif len(found) > 1:
        # The average interval: runs of one test set err alike.
        ends = [[each.value, each.low, each.high] for each in found]
        known = all(None not in row for row in ends)
        value, low, high = (
            float(np.mean([row[side] for row in ends])) if side == 0 or known else None for side in range(3)
        )
        mean = mean._replace(value=float(value or 0.0), low=low, high=high)
    interfaces = ", ".join(dict.fromkeys(cell.interface for cell in cells if cell.interface))
    return Figure(mean, [each.value for each in found], interfaces, cells[0].num_items)


def _scale_of(metric: str, values: Sequence[float]) -> Scale:
    if metric in _RATES and min(values) > 0:
        return "rate"
    return "share" if all(0 < value < 1 for value in values) else "real"


def _corrected(tasks: dict[str, TaskStandings]) -> dict[str, TaskStandings]:
    """With p-values corrected for all pairs of all tasks."""
    corrected = iter(holm([pair.difference.p_value for task in tasks.values() for pair in task.pairs]))
    return {
        name: replace(task, pairs=[pair._replace(corrected=next(corrected)) for pair in task.pairs])
        for name, task in tasks.items()
    }


def _contest_among(task: TaskStandings, upstreams: Sequence[str]) -> Contest:
    if task.contest is None:
        raise ValueError(f"{task.name} has no figures.")
    places = {name: place for place, name in enumerate(task.figures)}
    return task.contest.only([places[name] for name in upstreams])


def _score(tasks: Mapping[str, TaskStandings], upstream: str) -> Metric | None:
    """Over the tasks with reference points that the encoder has."""
    contests, references = list[Contest](), list[tuple[float, float]]()
    for task in tasks.values():
        ends = task.definition.reference
        if upstream in task.figures and ends.low is not None and ends.high is not None and ends.low != ends.high:
            contest = _contest_among(task, [upstream])
            # The figure itself, where the contest is of fewer items.
            contests.append(contest._replace(values=np.array([task.figures[upstream].metric.value])))
            references.append((ends.low, ends.high))
    return mean_scores(contests, references)[0]._replace(num_clusters=len(contests)) if contests else None


def _leaks(results: SuiteResults, upstream: str) -> dict[str, list[str]]:
    said = results.first(upstream).encoder.trained_on
    found = {task: trained_on_test(results.task(task).test_sets, said) for task in results.tasks}
    return {task: names for task, names in found.items() if names}
