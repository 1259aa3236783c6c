"""Diarisation error rate (DER) and Jaccard error rate (JER): who spoke when, held against who was said to speak.

DER (NIST's md-eval, as in dscore and pyannote.metrics). Between two edges of any turn nothing changes. There, with R
speakers in the reference, H in the hypothesis and C of them in both under the mapping of speakers that makes most time
correct (the assignment problem, Kuhn, 1955),

    missed = max(R - H, 0)   false alarm = max(H - R, 0)   confusion = min(R, H) - C

and DER is the time of all three over the time of R. It may exceed 1.

JER (Ryant et al., DIHARD II, 2019, arXiv:1906.07839) counts every speaker of the reference alike: 1 minus the time that
both have over the time that either has, under the mapping that makes the mean lowest. It has neither collar nor
exception for overlap.

What is scored is stated with the result (`Scoring`). A collar is the time on either side of an edge of a turn of the
reference, as for md-eval: 0.25 is what pyannote.metrics calls 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Groups, clusters_of
from audiossl.metrics.ratios import score_ratio

SpokenTurn = tuple[float, float, str]  # start and end in seconds, speaker
Turns = Sequence[SpokenTurn]
Span = tuple[float, float]


@dataclass(frozen=True)
class Scoring:
    """Which time counts.

    collar_s: seconds on either side of every edge of a reference turn that do not count.
    skip_overlap: whether time with more than one speaker in the reference does not count.
    """

    collar_s: float = 0.0
    skip_overlap: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.collar_s < float("inf"):
            raise ValueError(f"A collar of {self.collar_s:g} s is none; give seconds from 0.")

    def __str__(self) -> str:
        overlap = "without overlap" if self.skip_overlap else "with overlap"
        return f"collar {self.collar_s:g} s on either side, {overlap}"


EVERYTHING = Scoring()


class DiarizationErrors(NamedTuple):
    """The errors of one recording in seconds of speakers: of two who speak at once, each second counts twice.

    spoken_s: of the reference.
    missed_s, false_alarm_s, confusion_s: of the three errors.
    jaccard: sum of the Jaccard errors of the reference's speakers.
    num_speakers: of the reference.
    num_found: speakers of the hypothesis.
    mapping: by speaker of the hypothesis the one of the reference, for all that have one.
    """

    spoken_s: float
    missed_s: float
    false_alarm_s: float
    confusion_s: float
    jaccard: float
    num_speakers: int
    num_found: int
    mapping: dict[str, str]

    @property
    def errors_s(self) -> float:
        return self.missed_s + self.false_alarm_s + self.confusion_s

    @property
    def rate(self) -> float:
        """DER of this recording. Infinite for errors where nobody speaks, 0 for none."""
        if self.spoken_s > 0:
            return self.errors_s / self.spoken_s
        return float("inf") if self.errors_s > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "mapping": dict(self.mapping)}


def diarization_errors(
    reference: Turns, hypothesis: Turns, scored: Sequence[Span] | None = None, scoring: Scoring = EVERYTHING
) -> DiarizationErrors:
    """The errors of one recording. Turns of one speaker that overlap count once.

    reference: who spoke when, by turns of any order.
    hypothesis: who was said to, with names of its own.
    scored: (start, end) of what is scored, as a UEM file says. None for all from the first turn to the last.
    scoring: what of that counts.
    Raises ValueError for a turn or a span that does not end after its start.

    >>> found = diarization_errors([(0, 4, "ann"), (3, 6, "bob")], [(0, 3, "1"), (3, 7, "2")])
    >>> found.missed_s, found.false_alarm_s, found.confusion_s, found.spoken_s
    (1.0, 1.0, 0.0, 7.0)
    """
    collars = [(edge - scoring.collar_s, edge + scoring.collar_s, "") for turn in reference for edge in turn[:2]]
    collars = collars if scoring.collar_s else []
    inside = None if scored is None else [(start, end, "") for start, end in scored]
    edges = _edges(reference, hypothesis, collars, inside or [])
    names, ours = _activity(reference, edges)
    found, theirs = _activity(hypothesis, edges)
    lasting = np.diff(edges)
    if inside is not None:
        lasting = lasting * _activity(inside, edges)[1].any(axis=0)
    jaccard = _jaccard(ours, theirs, lasting)
    if collars:
        lasting = lasting * ~_activity(collars, edges)[1].any(axis=0)
    spoken, said = ours.sum(axis=0), theirs.sum(axis=0)
    if scoring.skip_overlap:
        lasting = lasting * (spoken < 2)
    shared = (ours * lasting) @ theirs.T.astype(np.float64)  # (R, H) seconds
    rows, columns = linear_sum_assignment(shared, maximize=True)
    both = np.minimum(spoken, said)
    return DiarizationErrors(
        spoken_s=float(lasting @ spoken),
        missed_s=float(lasting @ (spoken - both)),
        false_alarm_s=float(lasting @ (said - both)),
        confusion_s=max(0.0, float(lasting @ both - shared[rows, columns].sum())),
        jaccard=jaccard,
        num_speakers=len(names),
        num_found=len(found),
        mapping={found[h]: names[r] for r, h in zip(rows, columns, strict=True) if shared[r, h] > 0},
    )


def diarization_metrics(errors: Iterable[DiarizationErrors], groups: Groups = None) -> dict[str, Metric]:
    """`der`, its parts `missed`, `false_alarm` and `confusion`, each over all time of speakers, and `jer`.

    errors: of the recordings.
    groups: (N,) what varies as a whole (see `clusters_of`). Without it, recordings do.
    Raises ValueError where nobody speaks in any reference.
    """
    rows = list(errors)
    if not sum(row.spoken_s for row in rows):
        raise ValueError(
            f"A diarisation error rate needs somebody who speaks, and in the {len(rows)} references nobody does."
        )
    clusters = _recordings(len(rows)) if groups is None else clusters_of(groups, len(rows), "recording")
    spoken = [row.spoken_s for row in rows]
    parts = {
        "der": [row.errors_s for row in rows],
        "missed": [row.missed_s for row in rows],
        "false_alarm": [row.false_alarm_s for row in rows],
        "confusion": [row.confusion_s for row in rows],
    }
    made = {name: score_ratio(values, spoken, clusters) for name, values in parts.items()}
    return {**made, "jer": score_ratio([row.jaccard for row in rows], [row.num_speakers for row in rows], clusters)}


def _recordings(num: int) -> Clusters:
    return Clusters(np.arange(num, dtype=np.int64), "recording")


def _edges(*tables: Turns) -> Floats:
    """(E + 1,) all moments at which anything changes. Raises ValueError for a turn that does not last."""
    for start, end, speaker in (turn for turns in tables for turn in turns):
        if not end > start:
            raise ValueError(f"A turn of {speaker!r} from {start:g} s to {end:g} s does not end after its start.")
    return np.unique(np.array([edge for turns in tables for turn in turns for edge in turn[:2]], dtype=np.float64))


def _activity(turns: Turns, edges: Floats) -> tuple[list[str], NDArray[np.bool_]]:
    """The K speakers, and (K, E) whether each speaks between two edges."""
    names = sorted({speaker for _, _, speaker in turns})
    index = {name: place for place, name in enumerate(names)}
    changes = np.zeros((len(names), max(len(edges), 1)), dtype=np.int64)
    rows = np.array([index[speaker] for _, _, speaker in turns], dtype=np.int64)
    np.add.at(changes, (rows, np.searchsorted(edges, [turn[0] for turn in turns])), 1)
    np.add.at(changes, (rows, np.searchsorted(edges, [turn[1] for turn in turns])), -1)
    return names, changes.cumsum(axis=1)[:, :-1] > 0


def _jaccard(ours: NDArray[np.bool_], theirs: NDArray[np.bool_], lasting: Floats) -> float:
    """Sum over the reference's speakers of 1 - intersection / union, least over mappings. An unmapped one counts 1."""
    shared = (ours * lasting) @ theirs.T.astype(np.float64)
    union = (ours @ lasting)[:, None] + (theirs @ lasting)[None] - shared
    similar = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    rows, columns = linear_sum_assignment(similar, maximize=True)
    return float(len(ours) - similar[rows, columns].sum())
