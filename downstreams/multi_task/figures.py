"""Pictures of targets: predicted against true numbers, and confusions of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiossl.core.pictures import save_figure
from audiossl.downstreams.multi_task.numbers import NumberHead
from audiossl.downstreams.multi_task.scoring import Known, TargetScores
from audiossl.downstreams.utterance_classification.figures import draw_confusion
from audiossl.metrics.regression import system_means

_MOST_PANELS = 12
_MOST_CONFUSIONS = 4


def draw_targets(scores: TargetScores, folder: Path) -> dict[str, Path]:
    """One picture of all numbers, and the confusions of the first targets with labels. Returns files by title."""
    drawn: dict[str, Path] = {}
    numbers = [each for each in scores.known if isinstance(each.head, NumberHead)]
    if numbers:
        drawn["Predicted against true"] = draw_scatter(numbers, folder / "scatter.png")
    labelled = [each for each in scores.known if not isinstance(each.head, NumberHead)]
    for number, each in enumerate(labelled[:_MOST_CONFUSIONS], start=1):
        path = folder / f"confusion_{number}.png"
        draw_confusion(each.targets, each.predicted, each.head.target.labels, path)
        drawn[f"Confusion matrix of {each.head.name}"] = path
    return drawn


def draw_scatter(numbers: Sequence[Known], path: Path) -> Path:
    """Write a PNG with a panel for each of the first targets: a point an item, and the line on which all is right.

    Means of systems, where rows have one, are larger points.
    """
    from matplotlib.figure import Figure

    shown = numbers[:_MOST_PANELS]
    columns = min(len(shown), 4)
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(0.4 + 3.6 * columns, 0.3 + 3.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, known in zip(panels, shown, strict=False):
        _draw_panel(axes, known)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    if len(numbers) > len(shown):
        figure.suptitle(f"the first {len(shown)} of {len(numbers)} targets", fontsize=9)
    save_figure(figure, path, dpi=120)
    return path


def _draw_panel(axes: Any, known: Known) -> None:
    true, said = (np.array(each, dtype=np.float64) for each in (known.targets, known.predicted))
    both = np.concatenate([true, said])
    margin = 0.05 * float(np.ptp(both)) or 0.5
    ends = (float(both.min()) - margin, float(both.max()) + margin)
    axes.plot(ends, ends, color="grey", linestyle="--", linewidth=0.8)
    size = float(np.clip(4000 / len(true), 3, 25))
    axes.scatter(true, said, s=size, alpha=0.5, color="#2171b5", linewidths=0, rasterized=True)
    systems = [row.get("system") for row in known.rows]
    if all(systems):
        means = system_means(true.tolist(), said.tolist(), list(map(str, systems)))
        axes.scatter(means[0], means[1], s=45, marker="D", color="#d95f02", edgecolors="white", label="system")
        axes.legend(loc="upper left", fontsize=8, frameon=False)
    axes.set(xlim=ends, ylim=ends, xlabel="true", ylabel="predicted")
    axes.set_title(known.head.name, fontsize=10)
    axes.set_aspect("equal")
