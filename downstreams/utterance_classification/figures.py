"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audiossl.core.pictures import save_figure
from audiossl.metrics.classification import confusion_matrix

_MOST_COUNTS = 25  # classes up to which each cell carries its count
_MOST_NAMES = 80  # classes up to which rows and columns carry their names


def draw_confusion(targets: Sequence[str], predicted: Sequence[str], labels: Sequence[str], path: Path) -> None:
    """Write a PNG: rows are targets, colour is the share of the row, numbers are counts where they fit.

    targets: (N,) what is right.
    predicted: (N,) what was chosen.
    labels: the classes, in their order. Those that occur in the data alone are added at the end.
    path: the file to write.
    """
    from matplotlib.figure import Figure

    labels = [*labels, *sorted({*targets, *predicted} - set(labels))]
    counts = confusion_matrix(targets, predicted, labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    num_classes = len(labels)
    side = min(4.0 + 0.15 * num_classes, 16.0)
    # A Figure of its own, without pyplot: no window system and no global state.
    figure = Figure(figsize=(side + 1.2, side))
    axes = figure.add_subplot()
    image = axes.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues", interpolation="nearest")
    figure.colorbar(image, ax=axes, fraction=0.046, label="share of the row")
    axes.set_xlabel("predicted")
    axes.set_ylabel("target")
    if num_classes <= _MOST_NAMES:
        size = 9.0 if num_classes <= 30 else 7.0
        names = [label if len(label) <= 24 else f"{label[:23]}…" for label in labels]
        axes.set_xticks(range(num_classes), names, rotation=90, fontsize=size)
        axes.set_yticks(range(num_classes), names, fontsize=size)
    if num_classes <= _MOST_COUNTS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=7)
    save_figure(figure, path, dpi=120, bbox_inches="tight")
