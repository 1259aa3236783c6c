"""Labels of frames that two encoders have at steps of their own: whether they are of one labelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FRAME_ERRORS = "frame error rate"  # the `measure` of rows whose `num_errors` are wrong frames among `num_units`
_MOST_ODD = 0.05  # of the frames: a label shorter than a step lies between two frames of the other encoder


class LabelledFrames(NamedTuple):
    """Labels of the frames of a recording.

    labels: (T,) of each frame, None where none counts.
    first_s: the centre of the first.
    step_s: from one to the next.
    """

    labels: npt.NDArray[np.object_]
    first_s: float
    step_s: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> LabelledFrames | None:
        """The target of a prediction. None where that is no labelling of frames."""
        target = row["target"]
        if not isinstance(target, list) or not row.keys() >= {"first_s", "step_s"}:
            return None
        labels = [label for count, label in target for _ in range(count)]
        return cls(np.array(labels, dtype=object), float(row["first_s"]), float(row["step_s"]))


def same_targets(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether several systems' predictions of an item have the same target.

    Targets that are labels of frames may have other steps. They are the same where nearly every frame of the longer
    step has the label of a frame of the shorter one beside it.
    """
    first, *others = rows
    return all(first["target"] == other["target"] or _same_labelling(first, other) for other in others)


def _same_labelling(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    frames = [found for row in (one, other) if (found := LabelledFrames.of(row)) is not None and len(found.labels)]
    if len(frames) < 2:
        return False
    fine, coarse = sorted(frames, key=lambda each: each.step_s)
    centres_s = coarse.first_s + coarse.step_s * np.arange(len(coarse.labels))
    places = (centres_s - fine.first_s) / fine.step_s
    inside = (places >= 0) & (places <= len(fine.labels) - 1)
    if not inside.any():
        return False
    wanted, places = coarse.labels[inside], places[inside]
    beside = (fine.labels[side(places).astype(np.int64)] == wanted for side in (np.floor, np.ceil))
    return float(np.logical_or(*beside).mean()) >= 1 - _MOST_ODD
