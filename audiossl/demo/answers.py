"""What the page shows of a recording: its waveform, the prediction, and scores of classes over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudioError
from audiossl.data.annotated import Windows
from audiossl.data.reading import cut_blocks
from audiossl.experiments.run import Run
from audiossl.training.task import Prediction

MOST_S = 300.0  # of a recording: what is answered while somebody waits
NUM_PEAKS = 500
MOST_CLASSES = 10  # in the list of scores
_MOST_LINES = 4  # over the waveform
_MOST_WINDOWS = 100
_AT_ONCE_S = 30.0  # of windows in memory


class Timeline(NamedTuple):
    """Scores over time.

    spans: (start, end) of the W windows in seconds.
    lines: of each class that is drawn, its label and its W scores.
    note: what the windows are.
    """

    spans: Sequence[tuple[float, float]]
    lines: Sequence[tuple[str, Sequence[float]]]
    note: str


def check_length(cut: Cut) -> None:
    """Raise AudioError for a recording that is too long to wait for."""
    if cut.duration > MOST_S:
        raise AudioError(
            f"{cut.id} lasts {cut.duration / 60:.0f} minutes, and the page takes {MOST_S / 60:.0f}; send a part of it, "
            f"or use `audiossl predict`."
        )


def peaks(cut: Cut) -> list[tuple[float, float]]:
    """The least and the greatest sample of each of `NUM_PEAKS` parts of a recording, which is read block by block."""
    rate = cut.recording.sampling_rate
    total = round(cut.duration * rate)
    count = max(1, min(NUM_PEAKS, total))
    low, high, start = np.full(count, np.inf), np.full(count, -np.inf), 0
    for block in cut_blocks(cut, rate):
        places = np.minimum((start + np.arange(len(block))) * count // max(total, 1), count - 1)
        np.minimum.at(low, places, block)
        np.maximum.at(high, places, block)
        start += len(block)
    heard = np.isfinite(low)
    return list(zip(np.where(heard, low, 0).round(4).tolist(), np.where(heard, high, 0).round(4).tolist(), strict=True))


def labels_of(run: Run, prediction: Prediction) -> list[str]:
    """The classes that a prediction scores, [] for a task without classes."""
    labels = list(getattr(run.task.config, "labels", None) or []) if hasattr(run.task, "config") else []
    scores = np.asarray(prediction.get("scores", []))
    return labels if labels and scores.ndim and scores.shape[-1] == len(labels) else []


def ranked(labels: Sequence[str], prediction: Prediction) -> list[tuple[str, float]]:
    """The classes with their scores, the best first. Of a recording in windows, the best of each class."""
    scores = np.asarray(prediction["scores"], dtype=np.float64)
    whole = scores.max(axis=0) if scores.ndim == 2 else scores
    best = np.argsort(-whole, kind="stable")[:MOST_CLASSES]
    return [(labels[place], float(whole[place])) for place in best]


def timeline(run: Run, cut: Cut, prediction: Prediction, labels: Sequence[str]) -> Timeline | None:
    """Scores of windows, each predicted by itself. None for a task without classes, or too little sound.

    run: what predicts.
    cut: the recording.
    prediction: of the recording, which may have windows of its own.
    labels: the classes.
    """
    if not labels:
        return None
    if "windows" in prediction:
        spans = [(float(start), float(end)) for start, end in prediction["windows"]]
        return _drawn(spans, np.asarray(prediction["scores"]), labels, "of the run's own length")
    spans = _windows(run, cut.duration).spans(cut.duration)
    if len(spans) < 2:
        return None
    parts = [
        cut.truncate(offset=start, duration=end - start).drop_supervisions().with_id(f"{number:04d}")
        for number, (start, end) in enumerate(spans)
    ]
    size, rows = max(1, int(_AT_ONCE_S / parts[0].duration)), []
    for first in range(0, len(parts), size):
        rows += run.predict(CutSet.from_cuts(parts[first : first + size]))
    rows.sort(key=lambda row: str(row["id"]))
    scores = np.array([row["scores"] for row in rows], dtype=np.float64)
    forced = "; one in which nothing is said gets a class as well" if "probability" in prediction else ""
    note = f"of {spans[0][1] - spans[0][0]:.3g} s, each predicted by itself{forced}"
    return _drawn(spans, scores, labels, note)


def _windows(run: Run, duration_s: float) -> Windows:
    """A quarter of a recording, but no more than a second, unless there would be too many windows."""
    upstream = run.task.upstream
    shortest_s = max(0.25, 1.1 * upstream.min_samples / upstream.sample_rate_hz)
    window_s = max(min(1.0, duration_s / 4), shortest_s, duration_s / _MOST_WINDOWS)
    # Of a long recording each second is heard once more, of a short one twice.
    return Windows(window_s, window_s / 2 if 2 * duration_s <= window_s * _MOST_WINDOWS else window_s, short="keep")


def _drawn(spans: Sequence[tuple[float, float]], scores: Any, labels: Sequence[str], note: str) -> Timeline:
    best = np.argsort(-scores.max(axis=0), kind="stable")[:_MOST_LINES]
    lines = [(labels[place], scores[:, place].round(4).tolist()) for place in best]
    said = "" if len(labels) <= _MOST_LINES else f" The {_MOST_LINES} classes with the highest scores are drawn."
    return Timeline(spans, lines, f"Windows {note}.{said}")
