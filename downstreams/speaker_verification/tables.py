"""Tables of a verification run: its most confident errors, with players of both sides, and errors by speaker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from audiossl.core.types import Cell, Table
from audiossl.metrics.clusters import Floats
from audiossl.metrics.verification import det_curve, equal_error_threshold

NUM_ERRORS = 10
NUM_SPEAKERS = 15
_NOTE = "Decided at the threshold of equal errors ({:.4f}) of these trials themselves."


def most_confident_errors(scores: Floats, targets: NDArray[np.bool_], most: int = NUM_ERRORS) -> list[int]:
    """Places of the trials on the wrong side of the threshold of equal errors, the furthest from it first.

    Empty where the trials are not of both kinds, or hold a score that is no number: scoring says so.
    """
    if not targets.any() or targets.all() or np.isnan(scores).any():
        return []
    distance = scores - equal_error_threshold(det_curve(scores, targets))
    wrong = np.where(targets, distance < 0, distance >= 0)
    places = np.flatnonzero(wrong)
    order = np.argsort(-np.abs(distance[places]), kind="stable")[:most]
    return [int(place) for place in places[order]]


def error_table(predictions: Sequence[Mapping[str, Any]]) -> Table:
    """Score, probability (for equal priors) and players of both recordings of the most confident errors."""
    scores, targets, threshold = _decided(predictions)
    rows: list[list[Cell]] = []
    for place in most_confident_errors(scores, targets):
        row = predictions[place]
        probability = None if row["llr"] is None else round(float(expit(row["llr"])), 4)
        kind = "one speaker, refused" if row["target"] else "two speakers, accepted"
        sides = [_side(row, side) for side in ("enrol", "test")]
        rows.append([kind, round(float(row["score"]), 4), probability, *(cell for side in sides for cell in side)])
    header = ["error", "score", "probability", "enrolled", "sound", "tested", "sound"]
    return Table("Most confident errors", header, rows, _NOTE.format(threshold))


def speaker_table(predictions: Sequence[Mapping[str, Any]]) -> Table:
    """Errors in the trials that each speaker is in, of the speakers with most errors. Empty where none is known."""
    scores, targets, threshold = _decided(predictions)
    counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(4, dtype=np.int64))
    for row, score, target in zip(predictions, scores, targets, strict=True):
        wrong = (score < threshold) if target else (score >= threshold)
        for speaker in {row["speaker_enrol"], row["speaker_test"]} - {None}:
            counts[speaker] += np.array([target, target and wrong, not target, not target and wrong])
    ordered = sorted(counts.items(), key=lambda item: (-int(item[1][1] + item[1][3]), item[0]))
    rows: list[list[Cell]] = [
        [speaker, f"{refused} of {same}", f"{accepted} of {different}"]
        for speaker, (same, refused, different, accepted) in ordered[:NUM_SPEAKERS]
    ]
    left_out = len(ordered) - len(rows)
    note = _NOTE.format(threshold) + (f" {left_out} speakers with fewer errors are left out." if left_out else "")
    return Table("Errors by speaker", ["speaker", "refused, of one speaker", "accepted, of two speakers"], rows, note)


def _decided(predictions: Sequence[Mapping[str, Any]]) -> tuple[Floats, NDArray[np.bool_], float]:
    scores = np.array([row["score"] for row in predictions], dtype=np.float64)
    targets = np.array([row["target"] for row in predictions], dtype=bool)
    return scores, targets, equal_error_threshold(det_curve(scores, targets))


def _side(row: Mapping[str, Any], side: str) -> list[Cell]:
    speaker = row[f"speaker_{side}"]
    audio = row.get(f"audio_{side}")
    name = row[side] if speaker is None else f"{row[side]} ({speaker})"
    if not audio or audio["path"] is None:
        return [name, None]
    return [name, {"audio": audio["path"], "start_s": audio["start_s"], "duration_s": audio["duration_s"]}]
