"""Figures of an analysis: curves over the depth of encoders, and the similarity of all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.analysis.layerwise.encoders import ASKED, BEFORE, Studied
from audiossl.analysis.layerwise.grid import Grid
from audiossl.core.pictures import save_figure
from audiossl.core.types import Metric

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito (2008)
FAR_FROM_ZERO = ("LogME", "LogME after PED", "TMI")  # panels without a line at 0, which would flatten their curves
_MOST_COLUMNS = 3


class LayerCurve(NamedTuple):
    """A measure of an encoder.

    studied: which encoder.
    depth: of each layer, as a share of the encoder's.
    metrics: of each layer.
    """

    studied: Studied
    depth: list[float]
    metrics: list[Metric]


def draw_curves(curves: Mapping[str, Sequence[LayerCurve]], view: str, path: Path) -> None:
    """A panel for each measure, with a line and its 95 % interval for each encoder.

    curves: of each encoder, by the title of the measure.
    view: what layers are compared with.
    path: of the picture.
    """
    from matplotlib.figure import Figure

    columns = min(len(curves), _MOST_COLUMNS)
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.0 * columns, 3.1 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes, (title, lines) in zip(panels, curves.items(), strict=False):
        for each in lines:
            _draw_line(axes, each, _style(each.studied, [one.studied for one in lines]))
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlim(-0.03, 1.03)
        if title not in FAR_FROM_ZERO:
            axes.axhline(0, color="grey", linewidth=0.6)
        axes.grid(alpha=0.2)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(curves) - columns) : len(curves)]:
        axes.set_xlabel("layer, as a share of the depth", fontsize=9)
    what = "the first of the layers" if view == "layers" else view
    figure.suptitle(f"Layers compared with {what}, 95 % intervals", fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, fontsize=8)
    save_figure(figure, path, dpi=120)


def _draw_line(axes: Any, curve: LayerCurve, style: Mapping[str, Any]) -> None:
    lows = [metric.value if metric.low is None else metric.low for metric in curve.metrics]
    highs = [metric.value if metric.high is None else metric.high for metric in curve.metrics]
    axes.fill_between(curve.depth, lows, highs, color=style["color"], alpha=0.12, linewidth=0)
    axes.plot(curve.depth, [metric.value for metric in curve.metrics], **style)


def _style(one: Studied, every: Sequence[Studied]) -> dict[str, Any]:
    """An encoder has one colour with what stands beside it, which is dash-dotted or dotted."""
    asked = [other.written for other in every if other.role == ASKED]
    name, plain = one.beside or one.written, one.role == ASKED
    return {
        "color": COLOURS[asked.index(name) % len(COLOURS)] if name in asked else "grey",
        "linestyle": "-" if plain else "-." if one.role == BEFORE else ":",
        "marker": "o" if plain else None,
        "markersize": 3.5,
        "linewidth": 1.6 if plain else 1.3,
        "label": one.written,
    }


def draw_grid(grid: Grid, measure: str, path: Path) -> None:
    """The similarity of every layer with every other. Lines part the encoders."""
    from matplotlib.figure import Figure

    size = min(4.0 + 0.16 * len(grid.places), 14.0)
    figure = Figure(figsize=(size, size * 0.9), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(grid.values[measure], vmin=0, vmax=1, cmap="viridis")
    names = list(dict.fromkeys(place.encoder for place in grid.places))
    first = [next(row for row, place in enumerate(grid.places) if place.encoder == name) for name in names]
    ends = [*first[1:], len(grid.places)]
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="white", linewidth=1)
        axes.axvline(end - 0.5, color="white", linewidth=1)
    middles = [(start + end - 1) / 2 for start, end in zip(first, ends, strict=True)]
    axes.set_yticks(middles, names, fontsize=8)
    axes.set_xticks(middles, names, fontsize=8, rotation=90)
    axes.set_title(f"{measure.upper()} of all layers at {grid.num_moments} moments", fontsize=10, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.7)
    save_figure(figure, path, dpi=120)
