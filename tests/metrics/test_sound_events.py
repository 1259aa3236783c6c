"""F1 of sound events: against sed_eval and mir_eval on random events, and by hand."""

from __future__ import annotations

import warnings
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from audiossl.metrics.clusters import Clusters
from audiossl.metrics.sound_events import (
    EventScoring,
    SoundEvent,
    event_counts,
    event_estimates,
    event_metrics,
    onset_pairs,
    overlap_pairs,
)

LABELS = ("a", "b", "c")
SCORING = EventScoring(collar_s=0.2, least_overlap=0.5, segment_s=0.5)


def drawn(seed: int, count: int, near: list[SoundEvent] | None = None) -> list[SoundEvent]:
    """Events of 10 s: of one class they may overlap. Some are copies of others, a little later."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        start, lasts = rng.uniform(0, 9), rng.uniform(0.05, 1.0)
        label = str(rng.choice(LABELS))
        if near and rng.uniform() < 0.7:
            start, end, label = near[number % len(near)]
            start, lasts = max(0.0, start + rng.normal(0, 0.15)), (end - start) * rng.uniform(0.6, 1.4)
        made.append((start, start + lasts, label))
    return made


def recordings() -> list[tuple[list[SoundEvent], list[SoundEvent]]]:
    made = []
    for seed in range(8):
        truth = drawn(seed, 12)
        made.append((truth, drawn(100 + seed, 15, truth)))
    return made


def counts_of(pairs: list[tuple[list[SoundEvent], list[SoundEvent]]]) -> np.ndarray:
    return np.array([event_counts(truth, found, LABELS, SCORING) for truth, found in pairs])


def by_sed_eval(kind: str) -> Any:
    """Its object, fed with the recordings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dcase_util
        import sed_eval
    if kind == "event":
        made = sed_eval.sound_event.EventBasedMetrics(
            list(LABELS), t_collar=SCORING.collar_s, evaluate_offset=False, event_matching_type="optimal"
        )
    else:
        made = sed_eval.sound_event.SegmentBasedMetrics(list(LABELS), time_resolution=SCORING.segment_s)
    for number, pair in enumerate(recordings()):
        lists = [
            dcase_util.containers.MetaDataContainer(
                [
                    {"filename": f"{number}.wav", "event_label": label, "onset": start, "offset": end}
                    for start, end, label in events
                ]
            )
            for events in pair
        ]
        made.evaluate(reference_event_list=lists[0], estimated_event_list=lists[1])
    return made


@pytest.mark.parametrize(("ours", "theirs"), [("onset", "event"), ("segment", "segment")])
def test_equal_to_sed_eval(ours: str, theirs: str) -> None:
    found = event_metrics(counts_of(recordings()))
    other = by_sed_eval(theirs)
    micro = other.results_overall_metrics()["f_measure"]["f_measure"]
    macro = other.results_class_wise_average_metrics()["f_measure"]["f_measure"]
    assert found[f"{ours}_f1_micro"].value == pytest.approx(micro, abs=1e-12)
    assert found[f"{ours}_f1"].value == pytest.approx(macro, abs=1e-12)


def test_pairs_by_onset_are_as_many_as_mir_eval_finds() -> None:
    import mir_eval

    for truth, found in recordings():
        ours, theirs = (np.array([event[:2] for event in events]) for events in (truth, found))
        matched = mir_eval.transcription.match_note_onsets(ours, theirs, onset_tolerance=0.2)
        pairs = onset_pairs(ours, theirs, 0.2)
        assert len(pairs) == len(matched) > 5
        assert (np.abs(ours[pairs[:, 0], 0] - theirs[pairs[:, 1], 0]) <= 0.2).all()
        assert all(len(set(column)) == len(pairs) for column in pairs.T.tolist())


def test_pairs_by_overlap_are_the_most_that_any_order_gives() -> None:
    for seed in range(20):
        truth = drawn(seed, 5)
        ours, theirs = (np.array([event[:2] for event in each]) for each in (truth, drawn(50 + seed, 6, truth)))
        both = np.minimum(ours[:, None, 1], theirs[None, :, 1]) - np.maximum(ours[:, None, 0], theirs[None, :, 0])
        either = np.diff(ours)[:, :1] + np.diff(theirs)[:, 0][None] - np.maximum(both, 0)
        fits = both.clip(0) / either >= 0.3
        most = max(fits[np.arange(5), list(order)].sum() for order in permutations(range(6), 5))
        pairs = overlap_pairs(ours, theirs, 0.3)
        assert len(pairs) == most
        assert fits[pairs[:, 0], pairs[:, 1]].all()


def test_by_hand() -> None:
    truth: list[SoundEvent] = [(0.0, 1.0, "a"), (2.0, 3.0, "a"), (2.0, 3.0, "b")]
    found: list[SoundEvent] = [(0.1, 1.0, "a"), (2.9, 3.0, "a"), (5.0, 5.4, "c")]
    first, second, third = event_counts(truth, found, LABELS, SCORING)
    assert first == (2, 2, 1, 1, 4, 3, 3)  # segments 0, 1, 4, 5 and 0, 1, 5
    assert second == (1, 0, 0, 0, 2, 0, 0)
    assert third == (0, 1, 0, 0, 0, 1, 0)
    assert (first.f1("overlap"), third.f1("overlap")) == (0.5, 0.0)
    made = event_metrics([[first, second, third]])
    assert made["overlap_f1"].value == 0.25  # of a and b
    assert made["overlap_f1_micro"].value == pytest.approx(2 / 6)
    assert made["segment_f1_micro"].value == pytest.approx(2 * 3 / (6 + 4))
    assert made["overlap_f1"].remark == "no interval of one recording"


def test_without_a_recording_a_figure_is_that_of_the_others() -> None:
    table = counts_of(recordings())
    found = event_estimates(table, Clusters(np.arange(8)))
    rest = event_metrics(table[1:])
    assert {name: each.without[0] for name, each in found.items()} == pytest.approx(
        {name: metric.value for name, metric in rest.items()}
    )
    assert all(metric.low < metric.value < metric.high for metric in rest.values())  # type: ignore[operator]
    # What only one recording has keeps its figure without it.
    table[1:, 2] = 0
    alone = event_estimates(table, Clusters(np.arange(8)))["overlap_f1"].without[0]
    classes = [2 * row[3] / (row[0] + row[1]) for row in (*table[1:].sum(0)[:2], table[0, 2])]
    assert alone == pytest.approx(np.mean(classes))


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(ValueError, match="needs a true event, and the 2 recordings have none"):
        event_metrics(np.zeros((2, 3, 7)))
    with pytest.raises(ValueError, match=r"must be \(recordings, classes, 7\), not \(2, 3\)"):
        event_metrics(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="needs a true event"):
        event_metrics([event_counts([], [(0, 1, "a")], LABELS, SCORING)])
    assert str(SCORING) == "onset within 0.2 s, intersection over union from 0.5, segments of 0.5 s"
