"""What frames give at all thresholds at once: PSDS, of probabilities behind the median filter of each class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from lhotse.cut import Cut

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Metric
from audiossl.downstreams.bioacoustic_events.decisions import EventRule
from audiossl.downstreams.diarization.decisions import FrameClock
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.psds import PSDS_SCENARIOS, ScoredFrames, load_sed_scores_eval, psds_metrics
from audiossl.training.task import Prediction

LONGEST_S = 30.0  # of a row: time and memory grow with the square


def check_short(cuts: Iterable[Cut], split: str) -> None:
    """Raises LabelError for a row that is too long for PSDS, ConfigError where its package is missing."""
    load_sed_scores_eval()
    for cut in cuts:
        if cut.duration > LONGEST_S:
            raise LabelError(
                f"Row {cut.id} of {split} lasts {cut.duration:g} s, and PSDS takes rows of at most {LONGEST_S:g} s, "
                f"since its time and memory grow with the square of their length; make windows of it (`audiossl data "
                f"from-annotations --rows windows --window-s 10 --hop-s 10`), or leave task.psds out."
            )


def behind_filter(probabilities: Floats, rules: Sequence[EventRule], step_s: float) -> list[list[float]]:
    """C lists of T, which reach a threshold where a class is heard behind its filter at that threshold.

    probabilities: (T, C).
    rules: of the C classes, of which the filter alone is read.
    step_s: from one frame to the next.
    """
    from scipy.ndimage import median_filter

    widths = [2 * rule.half_width(step_s) + 1 for rule in rules]
    # The median of an odd number reaches a threshold where most of them do.
    columns = zip(probabilities.T, widths, strict=True)
    return [median_filter(column, width, mode="nearest").tolist() for column, width in columns]


def psds_of_rows(rows: Sequence[Prediction], labels: Sequence[str], group_field: str) -> dict[str, Metric]:
    """`psds1` and `psds2` of rows with `target` and `filtered`.

    labels: the C classes.
    group_field: what the groups of the rows are called.
    """
    recordings = [
        ScoredFrames([_event(event) for event in row["target"]], scores, _edges(row, len(scores)))
        for row, scores in ((row, np.array(row["filtered"], dtype=np.float64).T) for row in rows)
    ]
    return psds_metrics(recordings, labels, clusters_of_rows(rows, group_field))


def psds_written() -> str:
    """What `psds1` and `psds2` count."""
    return "; ".join(f"{name}: {scenario}" for name, scenario in PSDS_SCENARIOS.items())


def check_kept(rows: Sequence[Prediction]) -> None:
    """Raises ConfigError for stored rows without frames."""
    lacking = next((row["id"] for row in rows if row["target"] is not None and "filtered" not in row), None)
    if lacking is not None:
        raise ConfigError(
            f"The prediction of {lacking} was stored without its frames, which PSDS needs; evaluate again with "
            f"task.psds=true, without --stored."
        )


def _edges(row: Prediction, num_frames: int) -> Floats:
    return FrameClock(row["first_s"], row["step_s"]).edges_s(num_frames, row["duration_s"])


def _event(event: Sequence[Any]) -> tuple[float, float, str]:
    return float(event[0]), float(event[1]), str(event[2])
