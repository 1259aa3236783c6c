"""Polyphonic sound detection score (PSDS, Bilen et al., 2020, arXiv:1910.08440): detection at all thresholds at once.

A found event counts where enough of it lies in true events of its class (detection tolerance), a true one as found
where enough of it is covered by such (ground truth intersection). Shares of true events that are found are drawn over
false alarms an hour, as the threshold falls, and the score is the area below that curve up to a number of false alarms,
divided by that number. The curve is the mean over classes less `alpha_st` times their deviation. Found events that lie
in events of another class are cross triggers, and count as `alpha_ct` false alarms more, in relation to how long that
class is heard.

The score is sed_scores_eval's, which computes it exactly from frame scores (Ebbers, Serizel and Haeb-Umbach, 2022,
arXiv:2201.13148). Its time and memory grow with the square of the frames of a recording.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import ConfigError
from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.jackknife import Estimate, intervals_wanted, metric_of
from audiossl.metrics.sound_events import SoundEvent


class PsdsScenario(NamedTuple):
    """What counts.

    least_in_true: share of a found event that must lie in true events of its class.
    least_found: share of a true event that must be covered.
    least_in_other: share of a found event in true events of another class that makes it a cross trigger.
    alpha_ct: false alarms that a cross trigger counts as.
    alpha_st: deviations between classes that are taken off their mean.
    most_per_hour: false alarms an hour up to which the area is taken.
    """

    least_in_true: float
    least_found: float
    least_in_other: float | None
    alpha_ct: float
    alpha_st: float
    most_per_hour: float

    def __str__(self) -> str:
        triggers = f"cross triggers from {self.least_in_other:g} at weight {self.alpha_ct:g}, " if self.alpha_ct else ""
        return (
            f"detection tolerance {self.least_in_true:g}, intersection {self.least_found:g}, {triggers}deviation "
            f"between classes at weight {self.alpha_st:g}, up to {self.most_per_hour:g} false alarms an hour"
        )


# Those of DCASE's task 4 since 2021: when, and what.
PSDS_SCENARIOS = {
    "psds1": PsdsScenario(0.7, 0.7, None, 0.0, 1.0, 100.0),
    "psds2": PsdsScenario(0.1, 0.1, 0.3, 0.5, 1.0, 100.0),
}


class ScoredFrames(NamedTuple):
    """A recording.

    target: its true events, of which none of a class overlap.
    scores: (T, C) of its frames.
    edges_s: (T + 1,) where each frame begins, and the end of the last.
    """

    target: Sequence[SoundEvent]
    scores: Floats
    edges_s: Floats


def psds_metrics(recordings: Sequence[ScoredFrames], labels: Sequence[str], clusters: Clusters) -> dict[str, Metric]:
    """`psds1` and `psds2`, with 95 % intervals.

    recordings: N.
    labels: the C classes. Those without a true event are left out.
    clusters: of the recordings. A score has no interval where one of them has all events of a class.
    Raises ValueError where there is no true event, ConfigError without sed_scores_eval.
    """
    known = [label for label in labels if any(event[2] == label for row in recordings for event in row.target)]
    if not known:
        raise ValueError(f"PSDS needs a true event, and the {len(recordings)} recordings have none.")
    columns = [list(labels).index(label) for label in known]
    kept = [
        ScoredFrames([event for event in row.target if event[2] in known], row.scores[:, columns], row.edges_s)
        for row in recordings
    ]
    made = {}
    for name, scenario in PSDS_SCENARIOS.items():
        if len(known) == 1:  # there is no other class to be taken for
            scenario = scenario._replace(least_in_other=None, alpha_ct=0.0)
        curves = _Curves(kept, known, scenario)
        value = curves.score(np.ones(len(kept), dtype=bool))
        if intervals_wanted():
            merged = clusters.merged()
            without = np.array([curves.score(merged.of != number) for number in range(merged.num)])
            made[name] = metric_of(Estimate(value, without, "share"), merged)
        else:
            made[name] = Metric(value)
    return made


class _Curves:
    """What each recording adds to the counts at each threshold, which is computed once.

    recordings: with events of these classes alone.
    labels: the classes, each with an event.
    scenario: what counts.
    """

    def __init__(self, recordings: Sequence[ScoredFrames], labels: Sequence[str], scenario: PsdsScenario) -> None:
        self.labels, self.scenario = labels, scenario
        self.library = load_sed_scores_eval()
        self.truth = {str(number): [tuple(event) for event in row.target] for number, row in enumerate(recordings)}
        self.lasting_s = {str(number): float(row.edges_s[-1]) for number, row in enumerate(recordings)}
        scores = {str(number): _table(row, labels) for number, row in enumerate(recordings)}
        self.deltas = self.library.intermediate_statistics_deltas(scores, self.truth, **self._tolerances())

    def score(self, wanted: Any) -> float:
        """Of the recordings that `wanted` (N,) says. NaN where a class has no event in them."""
        names = [name for name, is_wanted in zip(self.truth, wanted, strict=True) if is_wanted]
        truth = {name: self.truth[name] for name in names}
        if {event[2] for events in truth.values() for event in events} != set(self.labels):
            return float("nan")
        found = self.library.psds(
            None,
            truth,
            {name: self.lasting_s[name] for name in names},
            deltas={name: self.deltas[name] for name in names},
            alpha_ct=self.scenario.alpha_ct,
            alpha_st=self.scenario.alpha_st,
            max_efpr=self.scenario.most_per_hour,
            unit_of_time="hour",
            **self._tolerances(),
        )
        return float(found[0])

    def _tolerances(self) -> Mapping[str, float | None]:
        return {
            "dtc_threshold": self.scenario.least_in_true,
            "gtc_threshold": self.scenario.least_found,
            "cttc_threshold": self.scenario.least_in_other,
        }


def load_sed_scores_eval() -> Any:
    """Its module of intersections. Raises ConfigError where it is not there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # packages that it needs warn of setuptools
            from sed_scores_eval import intersection_based
    except ImportError as error:
        raise ConfigError(
            "PSDS needs the package sed_scores_eval, which is not installed; run `pip install audiossl-toolkit[psds]`."
        ) from error
    return intersection_based


def _table(row: ScoredFrames, labels: Sequence[str]) -> Any:
    """The frames as sed_scores_eval reads them."""
    import pandas
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    class Writable(pandas.DataFrame):
        """Gives arrays of its own: those of pandas 3 cannot be written to, and sed_scores_eval 0.0.4 asks for such."""

        @property
        def _constructor(self) -> Any:
            return Writable

        def to_numpy(self, *arguments: Any, **options: Any) -> Any:
            return super().to_numpy(*arguments, **options).copy()

    return Writable(create_score_dataframe(row.scores, row.edges_s, list(labels)))
