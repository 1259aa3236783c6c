"""Charts of a suite: what was tried on dev, DET curves, cost against quality, and layers over tasks. SVG as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.special import ndtri

from audiossl.metrics.verification import DetCurve
from audiossl.report.figures import INK, PALETTE, drawing, legend_below, look, shortened, svg_of

MOST_CATEGORIES = 16  # whose names fit under an axis
_RATES = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4)


class TriedLine(NamedTuple):
    """Figures on dev of one interface (or head), over what else was tried.

    places: learning rates, layers, or names.
    values: of the same number, in the unit of the axis.
    """

    name: str
    places: Sequence[float | str]
    values: Sequence[float]


class Point(NamedTuple):
    """An encoder in a chart of cost against quality.

    low, high: of its interval, None where there is none.
    number: which encoder it is, so that it keeps its colour.
    """

    name: str
    cost: float
    value: float
    low: float | None
    high: float | None
    number: int


def tried_figure(lines: Sequence[TriedLine], xlabel: str, ylabel: str, number: int) -> str:
    """Dev figures, over learning rates on a logarithmic axis, over layers, or over names.

    lines: at least one.
    xlabel, ylabel: of the axes.
    number: of the encoder, for the colour of the first line.
    """
    names = list(dict.fromkeys(place for line in lines for place in line.places if isinstance(place, str)))
    with drawing(height_in=3.1) as (figure, axes):
        for offset, line in enumerate(lines):
            color, dash = look(number + offset)
            at = [names.index(place) if isinstance(place, str) else place for place in line.places]
            axes.plot(
                at, line.values, color=color, linestyle=dash, marker="o", markersize=4, label=shortened(line.name)
            )
        if names:
            axes.set_xticks(range(len(names)), [shortened(name, 18) for name in names], rotation=90)
            if len(names) > MOST_CATEGORIES:
                axes.xaxis.set_major_locator(FixedLocator(range(0, len(names), 1 + len(names) // MOST_CATEGORIES)))
        elif "rate" in xlabel:
            _logarithmic(axes, sorted({float(place) for line in lines for place in line.places}))
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        legend_below(figure, len(lines))
    return svg_of(figure, f"{ylabel} over {xlabel}")


def det_figure(curves: Mapping[str, DetCurve], numbers: Mapping[str, int]) -> str:
    """Misses over false alarms on the scale of the normal distribution, a line an encoder.

    curves: by encoder.
    numbers: of the encoders, for their colours.
    """
    with drawing(height_in=4.3) as (figure, axes):
        for name, curve in curves.items():
            color, dash = look(numbers[name])
            # A curve goes to both corners, which are infinitely far away.
            alarms, misses = (ndtri(np.clip(rates, 1e-4, 0.9)) for rates in (curve.p_fa, curve.p_miss))
            axes.plot(alarms, misses, color=color, linestyle=dash, label=shortened(name))
        ends = ndtri([_RATES[0], 0.5])
        axes.plot(ends, ends, color=INK, alpha=0.35, linewidth=1, linestyle=":")
        for axis, bound in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
            bound(*ends)
            axis.set_major_locator(FixedLocator(ndtri(_RATES)))
            axis.set_minor_locator(NullLocator())
            axis.set_ticklabels([f"{100 * rate:g}" for rate in _RATES])
        axes.set_xlabel("false alarms (%)")
        axes.set_ylabel("misses (%)")
        legend_below(figure, len(curves))
    return svg_of(figure, "misses over false alarms of each encoder")


def cost_figure(points: Sequence[Point], xlabel: str, ylabel: str) -> str:
    """Quality over cost on a logarithmic axis, with intervals.

    points: with costs above 0.
    xlabel, ylabel: of the axes.
    """
    with drawing(height_in=3.1 + 0.12 * len(points)) as (figure, axes):
        for point in points:
            color, _ = look(point.number)
            marker = "os^Dv"[point.number // len(PALETTE) % 5]
            if point.low is not None and point.high is not None:
                axes.plot([point.cost] * 2, [point.low, point.high], color=color, linewidth=2)
            axes.plot([point.cost], [point.value], marker, color=color, markersize=6, label=shortened(point.name))
        costs = [point.cost for point in points]
        marks = [base * 10.0**power for power in range(-3, 13) for base in (1, 2, 5)]
        shown = [mark for mark in marks if min(costs) / 1.6 <= mark <= max(costs) * 1.6]
        _logarithmic(axes, shown[:: 1 + len(shown) // 7])
        axes.set_xlim(min(costs) / 1.6, max(costs) * 1.6)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        legend_below(figure, len(points) + (len(points) == 1))
    return svg_of(figure, f"{ylabel} over {xlabel}")


def heat_figure(rows: Mapping[str, Sequence[float]], number: int, title: str) -> str:
    """A row for each task, a column for each layer. The shade is the share of the largest value of the row.

    rows: values of the layers by task.
    number: of the encoder, for the colour.
    title: what the values are.
    """
    num_layers = max(len(values) for values in rows.values())
    with drawing(height_in=1.0 + 0.34 * len(rows)) as (figure, axes):
        shades = np.zeros((len(rows), num_layers, 4))
        shades[..., :3] = to_rgb(look(number)[0])
        for place, values in enumerate(rows.values()):
            shares = np.asarray(values, dtype=np.float64) / max(max(values), 1e-30)
            shades[place, : len(values), 3] = 0.85 * np.clip(shares, 0, 1)
        axes.pcolormesh(shades)
        if num_layers <= 14:
            _numbers(axes, rows)
        step = 1 + num_layers // 14
        axes.set_xticks(np.arange(0, num_layers, step) + 0.5, [str(layer) for layer in range(0, num_layers, step)])
        axes.set_yticks(np.arange(len(rows)) + 0.5, [shortened(name, 22) for name in rows])
        axes.set_ylim(len(rows), 0)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("layer")
    return svg_of(figure, f"{title}, by task and layer")


def _numbers(axes: Axes, rows: Mapping[str, Sequence[float]]) -> None:
    """What a cell holds, in two characters: hundredths of a weight, and norms as they are."""
    for place, values in enumerate(rows.values()):
        are_shares = max(values) <= 1
        for layer, value in enumerate(values):
            text = f"{100 * value:.0f}" if are_shares else f"{value:.0f}" if value >= 9.5 else f"{value:.1f}"
            axes.text(layer + 0.5, place + 0.5, text, ha="center", va="center", fontsize=6.5)


def _logarithmic(axes: Axes, marks: Sequence[float]) -> None:
    """A logarithmic axis with these marks, which are read without exponents of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(marks)[:: 1 + len(marks) // 9]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
