"""What was heard in a recording over time, beside what was annotated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiossl.core.pictures import save_figure
from audiossl.downstreams.bioacoustics.events import Floats, scores_over_time
from audiossl.training.task import Prediction

_MOST_RECORDINGS = 3
_MOST_LABELS = 12


def draw_timelines(
    predictions: Sequence[Prediction], labels: Sequence[str], thresholds: Floats | None, folder: Path
) -> dict[str, Path]:
    """A PNG for each of the recordings with the most windows: scores by label, annotations as bars.

    predictions: windows of any number of recordings.
    labels: the C labels, in the order of the scores.
    thresholds: (C,) from which on a label is heard. None where they are not the same for all windows.
    folder: where the files go.
    Returns the files by title.
    """
    by_recording: dict[str, list[Prediction]] = defaultdict(list)
    for row in predictions:
        by_recording[row["recording"]].append(row)
    longest = sorted(by_recording, key=lambda name: (-len(by_recording[name]), name))[:_MOST_RECORDINGS]
    drawn = {}
    for number, name in enumerate(longest, start=1):
        rows = sorted(by_recording[name], key=lambda row: row["start_s"])
        if len(rows) < 2:
            continue
        path = folder / f"timeline_{number}.png"
        draw_timeline(rows, labels, thresholds, path, title=Path(name).name)
        drawn[f"Timeline of {Path(name).name}"] = path
    return drawn


def draw_timeline(
    rows: Sequence[Prediction], labels: Sequence[str], thresholds: Floats | None, path: Path, title: str
) -> None:
    """Write a PNG with a band for each of the labels that are annotated or heard most.

    The mean score of the windows over time is a curve, the threshold a dashed line. Annotated calls are bars
    below it.

    rows: predictions of the windows of one recording, in the order of time.
    labels: the C labels, in the order of the scores.
    thresholds: (C,) from which on a label is heard. None for no such lines.
    path: the file to write.
    title: what the picture is called.
    """
    from matplotlib.figure import Figure

    spans = [(row["start_s"], row["end_s"]) for row in rows]
    scores = np.array([row["scores"] for row in rows], dtype=np.float64)
    edges, values = scores_over_time(spans, scores)
    calls = sorted({(start, end, label) for row in rows for start, end, label in row["calls"]})
    # The size grows with the recording and the bands, within what a page can show.
    shown = _chosen(labels, calls, values)
    figure = Figure(figsize=(min(6 + (edges[-1] - edges[0]) / 20, 14), 1.1 + 0.75 * len(shown)))
    panels: Any = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, number in zip(panels, shown, strict=True):
        axes.stairs(np.nan_to_num(values[:, number]), edges, fill=True, color="#9ecae1")
        axes.stairs(np.nan_to_num(values[:, number]), edges, color="#2171b5", linewidth=1)
        if thresholds is not None:
            axes.axhline(thresholds[number], color="grey", linestyle="--", linewidth=0.7)
        for start, end, label in calls:
            if label == labels[number]:
                axes.plot([start, end], [-0.17, -0.17], color="#d95f02", linewidth=4, solid_capstyle="butt")
        axes.set_ylim(-0.32, 1.05)
        axes.set_yticks([0, 1])
        name = labels[number]
        axes.set_ylabel(name if len(name) <= 16 else f"{name[:15]}…", rotation=0, ha="right", va="center")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    # What is left out is said in the picture itself, which may be looked at without its report.
    panels[-1].set_xlabel("time (s)")
    left_out = f", {len(labels) - len(shown)} labels not shown" if len(shown) < len(labels) else ""
    shown_as = "probability" if all(row.get("calibrated") for row in rows) else "score"
    panels[0].set_title(f"{title}: {shown_as} (blue), annotated (orange){left_out}", fontsize=10, loc="left")
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _chosen(labels: Sequence[str], calls: Sequence[tuple[float, float, str]], values: np.ndarray) -> list[int]:
    """The labels that are annotated longest, then those with the highest score, in their usual order."""
    annotated = {label: sum(end - start for start, end, name in calls if name == label) for label in labels}
    peak = np.nan_to_num(values).max(axis=0)
    order = sorted(range(len(labels)), key=lambda number: (-annotated[labels[number]], -peak[number]))
    return sorted(order[:_MOST_LABELS])
