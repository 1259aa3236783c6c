"""Pictures of pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiossl.core.pictures import save_figure


def draw_reconstructions(panels: Sequence[tuple[NDArray[np.float32], ...]], path: Path, frame_rate_hz: float) -> Path:
    """One row an utterance: clean input, altered input and reconstruction (T, F) on one colour scale, as PNG."""
    from matplotlib.figure import Figure

    # One row of three pictures an utterance, on the scale of its clean input.
    height = 2.4 * len(panels) + 0.8  # inches
    figure = Figure(figsize=(11, height))
    places = {"left": 0.05, "right": 0.99, "bottom": 0.5 / height, "top": 1 - 0.3 / height, "wspace": 0.1}
    axes = figure.subplots(len(panels), 3, squeeze=False, gridspec_kw=places)
    for row, (images, axis_row) in enumerate(zip(panels, axes, strict=True)):
        low, high = np.percentile(images[0], [1, 99])
        for title, image, axis in zip(("input", "altered input", "reconstruction"), images, axis_row, strict=True):
            end_s = len(image) / frame_rate_hz
            extent = (0, end_s, 0, image.shape[1])
            shown = axis.imshow(image.T, origin="lower", aspect="auto", vmin=low, vmax=high, extent=extent)
            if row == 0:
                axis.set_title(title)
            axis.label_outer()
        axis_row[0].set_ylabel("band")
        figure.colorbar(shown, ax=axis_row.tolist(), label="normalised log power", fraction=0.05, pad=0.02)
    # Time below the last row alone.
    for axis in axes[-1]:
        axis.set_xlabel("time (s)")
    save_figure(figure, path, dpi=90)
    return path
