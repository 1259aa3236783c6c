"""Diarisation error rates against pyannote.metrics, sampled time with every mapping tried, and cases by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from audiossl.metrics.diarization import (
    DiarizationErrors,
    Scoring,
    SpokenTurn,
    diarization_errors,
    diarization_metrics,
)

STEP_S = 0.25  # random turns begin and end on this grid, so that sampled time is exact


def random_turns(rng: np.random.Generator, num_speakers: int, names: str) -> list[SpokenTurn]:
    """Turns within 30 s, of which those of one speaker never touch."""
    turns = []
    for speaker in names[:num_speakers]:
        edges = np.sort(rng.choice(120, size=2 * rng.integers(1, 6), replace=False))
        turns += [(a * STEP_S, b * STEP_S, speaker) for a, b in edges.reshape(-1, 2)]
    return turns


def sampled(turns: list[SpokenTurn]) -> dict[str, np.ndarray]:
    made = {speaker: np.zeros(120, dtype=bool) for _, _, speaker in turns}
    for start, end, speaker in turns:
        made[speaker][round(start / STEP_S) : round(end / STEP_S)] = True
    return made


def by_brute_force(reference: list[SpokenTurn], hypothesis: list[SpokenTurn]) -> tuple[float, float]:
    """(seconds of all errors, sum of Jaccard errors), each by the best of all mappings."""
    ours, theirs = list(sampled(reference).values()), list(sampled(hypothesis).values())
    theirs += [np.zeros(120, dtype=bool)] * len(ours)  # a speaker may have no counterpart
    spoken, said = sum(map(np.int64, ours)), sum(map(np.int64, theirs))
    errors, jaccards = [], []
    for chosen in itertools.permutations(theirs, len(ours)):
        right = sum((a & b).astype(int) for a, b in zip(ours, chosen, strict=True))
        errors.append((np.maximum(spoken, said) - right).sum() * STEP_S)
        jaccards.append(sum(1 - (a & b).sum() / (a | b).sum() for a, b in zip(ours, chosen, strict=True)))
    return min(errors), min(jaccards)


def test_equal_to_sampled_time_with_every_mapping_tried() -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        reference = random_turns(rng, int(rng.integers(1, 4)), "abc")
        hypothesis = random_turns(rng, int(rng.integers(1, 5)), "wxyz")
        found = diarization_errors(reference, hypothesis)
        errors_s, jaccard = by_brute_force(reference, hypothesis)
        assert found.errors_s == pytest.approx(errors_s)
        assert found.jaccard == pytest.approx(jaccard)
        assert found.spoken_s == pytest.approx(sum(end - start for start, end, _ in reference))


@pytest.mark.slow  # importing it takes seconds
@pytest.mark.parametrize(("collar_s", "skip_overlap"), [(0.0, False), (0.25, False), (0.1, True)])
def test_equal_to_pyannote(collar_s: float, skip_overlap: bool) -> None:
    pytest.importorskip("pyannote.metrics")
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    theirs = DiarizationErrorRate(collar=2 * collar_s, skip_overlap=skip_overlap)
    rng, ours = np.random.default_rng(1), []
    for _ in range(15):
        reference = random_turns(rng, int(rng.integers(1, 5)), "abcd")
        hypothesis = random_turns(rng, int(rng.integers(1, 5)), "wxyz")
        made = [Annotation(), Annotation()]
        for annotation, turns in zip(made, (reference, hypothesis), strict=True):
            for number, (start, end, speaker) in enumerate(turns):
                annotation[Segment(start, end), number] = speaker
        spans = [(2.0, 25.0), (26.0, 30.0)]
        ours.append(diarization_errors(reference, hypothesis, spans, Scoring(collar_s, skip_overlap)))
        parts: Any = theirs(made[0], made[1], uem=Timeline([Segment(*span) for span in spans]), detailed=True)
        assert ours[-1].spoken_s == pytest.approx(parts["total"], abs=1e-6)
        assert ours[-1].missed_s == pytest.approx(parts["missed detection"], abs=1e-6)
        assert ours[-1].false_alarm_s == pytest.approx(parts["false alarm"], abs=1e-6)
        assert ours[-1].confusion_s == pytest.approx(parts["confusion"], abs=1e-6)
    assert diarization_metrics(ours)["der"].value == pytest.approx(abs(theirs))


def test_by_hand() -> None:
    reference = [(0.0, 4.0, "ann"), (3.0, 6.0, "bob")]
    right = diarization_errors(reference, [(0.0, 4.0, "2"), (3.0, 6.0, "1")])
    assert (right.errors_s, right.jaccard, right.mapping) == (0.0, 0.0, {"2": "ann", "1": "bob"})
    one = diarization_errors(reference, [(0.0, 6.0, "1")])
    assert (one.missed_s, one.false_alarm_s, one.confusion_s, one.rate) == (1.0, 0.0, 2.0, 3 / 7)
    assert one.jaccard == pytest.approx(1 - 4 / 6 + 1)
    late = diarization_errors(reference, [(1.0, 4.0, "1"), (3.0, 6.0, "2")], scoring=Scoring(collar_s=0.5))
    assert (late.missed_s, late.spoken_s) == (0.5, 3.0)
    assert diarization_errors(reference, [], scoring=Scoring(skip_overlap=True)).missed_s == 5.0
    assert diarization_errors(reference, [], [(0.0, 3.0)]).missed_s == 3.0


def test_turns_of_one_speaker_that_overlap_count_once() -> None:
    found = diarization_errors([(0.0, 3.0, "a"), (2.0, 4.0, "a")], [(0.0, 4.0, "x")])
    assert (found.spoken_s, found.errors_s) == (4.0, 0.0)


def test_nobody_speaks() -> None:
    silent = diarization_errors([], [])
    assert silent == DiarizationErrors(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, {})
    assert silent.rate == 0.0
    invented = diarization_errors([], [(1.0, 2.0, "x")])
    assert (invented.false_alarm_s, invented.rate) == (1.0, float("inf"))
    with pytest.raises(ValueError, match="in the 2 references nobody does"):
        diarization_metrics([silent, invented])


def test_rates_are_over_all_time_and_recordings_vary() -> None:
    rng = np.random.default_rng(2)
    errors = [diarization_errors(random_turns(rng, 2, "ab"), random_turns(rng, 2, "xy")) for _ in range(12)]
    found = diarization_metrics(errors)
    assert found["der"].value == pytest.approx(sum(e.errors_s for e in errors) / sum(e.spoken_s for e in errors))
    parts = [found[part].value for part in ("missed", "false_alarm", "confusion")]
    assert found["der"].value == pytest.approx(sum(parts))
    assert found["jer"].value == pytest.approx(np.mean([each.jaccard / 2 for each in errors]))
    assert (found["der"].num_clusters, found["der"].cluster) == (12, "recording")
    assert found["der"].low is not None
    rooms = diarization_metrics(errors, [f"room{number % 6}" for number in range(12)])
    assert rooms["der"].num_clusters == 6


@pytest.mark.parametrize("turn", [(2.0, 2.0, "a"), (3.0, 1.0, "a"), (0.0, float("nan"), "a")])
def test_what_does_not_last_is_named(turn: SpokenTurn) -> None:
    with pytest.raises(ValueError, match="A turn of 'a' from .* does not end after its start"):
        diarization_errors([turn], [])


def test_scoring_says_what_counts() -> None:
    assert str(Scoring(0.25, True)) == "collar 0.25 s on either side, without overlap"
    with pytest.raises(ValueError, match="collar of -1 s"):
        Scoring(-1.0)
