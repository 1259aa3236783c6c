"""PSDS: by hand, and what its intervals are."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest

from audiossl.core.errors import ConfigError
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate, metric_of, no_intervals
from audiossl.metrics.psds import PSDS_SCENARIOS, ScoredFrames, load_sed_scores_eval, psds_metrics
from audiossl.metrics.sound_events import SoundEvent

STEP_S, LASTS_S = 2.0, 400.0  # a single false alarm is one of 9 an hour


def recording(target: Sequence[SoundEvent], found: Sequence[tuple[float, float, int, float]]) -> ScoredFrames:
    """400 s of two classes, in which each found (start, end, place of the class, score) is above a floor of 0."""
    frames = round(LASTS_S / STEP_S)
    scores = np.zeros((frames, 2))
    for start, end, place, score in found:
        scores[round(start / STEP_S) : round(end / STEP_S), place] = score
    return ScoredFrames(target, scores, np.arange(frames + 1) * STEP_S)


def each(number: int) -> Clusters:
    return Clusters(np.arange(number), "recording")


def test_one_class_by_hand() -> None:
    # Found without error at 0.9, a false alarm at 0.8 (9 an hour), the second event at 0.7, two more false ones at 0.6.
    target: list[SoundEvent] = [(0.0, 10.0, "a"), (20.0, 30.0, "a")]
    found = [(0, 10, 0, 0.9), (40, 42, 0, 0.8), (20, 28, 0, 0.7), (50, 52, 0, 0.6), (60, 62, 0, 0.6)]
    made = psds_metrics([recording(target, found)], ["a", "b"], each(1))
    # Half of the events up to 9 false alarms an hour, then all of them.
    assert made["psds1"].value == pytest.approx((0.5 * 9 + 1.0 * 91) / 100)
    assert made["psds2"].value == pytest.approx(made["psds1"].value)  # one class cannot be taken for another
    assert made["psds1"].remark == "no interval of one recording"


def test_tolerances_by_hand() -> None:
    # 60 % of the event is covered, and 40 % of what is found lies outside of it.
    rows = [recording([(0.0, 10.0, "a")], [(4, 14, 0, 0.9)])]
    made = psds_metrics(rows, ["a"], each(1))
    assert (made["psds1"].value, made["psds2"].value) == (0.0, 1.0)


def test_classes_and_cross_triggers_by_hand() -> None:
    # Class b is found at 0.9; at 0.8, a is found, and so is an event of a where b is. b lasts 10 s: 360 triggers an
    # hour of b, of which each counts a half, and there is a false alarm of 9 an hour.
    target: list[SoundEvent] = [(0.0, 10.0, "a"), (20.0, 30.0, "b")]
    clean = [(20, 30, 1, 0.9), (0, 10, 0, 0.8)]
    whole = psds_metrics([recording(target, clean)], ["a", "b"], each(1))
    assert (whole["psds1"].value, whole["psds2"].value) == (1.0, 1.0)
    mixed = psds_metrics([recording(target, [*clean, (22, 30, 0, 0.8)])], ["a", "b"], each(1))
    # psds1: a is found from 9 an hour on. Before, the mean 0.5 less the deviation 0.5 is nothing.
    assert mixed["psds1"].value == pytest.approx(0.91)
    # psds2: 9 + 0.5 * 360 are beyond 100, so that a is never found.
    assert mixed["psds2"].value == 0.0


def rows_of(seed: int, number: int = 5) -> list[ScoredFrames]:
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        starts = draw.uniform(0, 40, 2).round()
        target: list[SoundEvent] = [(starts[0], starts[0] + 8, "a"), (50 + starts[1], 55 + starts[1], "b")]
        row = recording(target, [(start, end, "ab".index(name), 0.5) for start, end, name in target])
        made.append(row._replace(scores=row.scores + draw.uniform(0, 0.6, row.scores.shape).round(1)))
    return made


def test_without_a_recording_the_score_is_that_of_the_others() -> None:
    rows = rows_of(1)
    made = psds_metrics(rows, ["a", "b"], each(5))["psds2"]
    with no_intervals():
        without = [psds_metrics(rows[:n] + rows[n + 1 :], ["a", "b"], each(4))["psds2"].value for n in range(5)]
    assert len(set(without)) > 1
    assert made[:3] == pytest.approx(metric_of(Estimate(made.value, np.array(without), "share"), each(5))[:3])
    # The order of recordings is nothing.
    again = psds_metrics(rows[::-1], ["a", "b"], each(5))
    assert again["psds2"][:3] == pytest.approx(made[:3])


def test_classes_without_events_are_left_out_and_a_class_of_one_recording_has_no_interval() -> None:
    rows = rows_of(2, 3)
    wide = [row._replace(scores=np.concatenate([row.scores, row.scores[:, :1]], axis=1)) for row in rows]
    assert psds_metrics(wide, ["a", "b", "never"], each(3)) == psds_metrics(rows, ["a", "b"], each(3))
    alone = [rows[0], *(row._replace(target=[event for event in row.target if event[2] == "a"]) for row in rows[1:])]
    made = psds_metrics(alone, ["a", "b"], each(3))["psds1"]
    assert made.low is None and "without some recording nothing is left" in made.remark
    with pytest.raises(ValueError, match="PSDS needs a true event, and the 1 recordings have none"):
        psds_metrics([recording([], [])], ["a", "b"], each(1))


def test_parameters_are_those_of_dcase() -> None:
    assert PSDS_SCENARIOS["psds1"] == (0.7, 0.7, None, 0.0, 1.0, 100.0)
    assert PSDS_SCENARIOS["psds2"] == (0.1, 0.1, 0.3, 0.5, 1.0, 100.0)
    assert "cross triggers from 0.3 at weight 0.5" in str(PSDS_SCENARIOS["psds2"])


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sed_scores_eval", None)
    with pytest.raises(ConfigError, match=r"PSDS needs the package .* `pip install audiossl-toolkit\[psds\]`"):
        load_sed_scores_eval()
