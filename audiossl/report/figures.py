"""The charts of the report, as SVG text that goes into the page.

Text and axes are drawn in a marker colour that becomes `currentColor`, so that a chart follows the page's light or dark
theme. Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. Lines also differ in dash.
Everything is drawn on Figure objects, without pyplot: no global state and no display.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")
WIDTH_IN = 4.5  # small, so that the text stays readable where a page is as narrow as a telephone
MOST_CLASSES = 40  # larger confusion matrices say nothing as a picture
INK = "#010203"  # becomes currentColor
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a label may hold a dollar sign
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


class Series(NamedTuple):
    """One line of a chart.

    number: which run it is, so that a run keeps its colour from chart to chart.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    number: int


class Dot(NamedTuple):
    """One dot with its interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    number: int


def curves_figure(series: Sequence[Series], ylabel: str) -> str:
    """Values over training steps, one line a run. Long logs are smoothed over a pale trace of the raw values."""
    with drawing(height_in=3.1) as (figure, axes):
        for line in series:
            color, dash = look(line.number)
            raw = np.asarray(line.values, dtype=float)
            # Few points are marked, so that a single one can be seen at all.
            if raw.size > 100:
                axes.plot(line.steps, raw, color=color, alpha=0.22, linewidth=0.8)
                axes.plot(line.steps, _smoothed(raw), color=color, linestyle=dash, label=shortened(line.name))
            else:
                marker = "o" if raw.size <= 30 else None
                axes.plot(
                    line.steps,
                    raw,
                    color=color,
                    linestyle=dash,
                    marker=marker,
                    markersize=3.5,
                    label=shortened(line.name),
                )
        axes.set_xlabel("training step")
        axes.set_ylabel(ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        legend_below(figure, len(series))
    return svg_of(figure, f"{ylabel} over training steps")


def estimates_figure(estimates: Sequence[Dot], xlabel: str) -> str:
    """A metric with its 95 % interval, one row a run, the first on top."""
    with drawing(height_in=1.0 + 0.36 * len(estimates)) as (figure, axes):
        for row, estimate in enumerate(estimates):
            color, _ = look(estimate.number)
            if estimate.low is not None and estimate.high is not None:
                axes.plot([estimate.low, estimate.high], [row, row], color=color, linewidth=2.4, solid_capstyle="butt")
            axes.plot([estimate.value], [row], "o", color=color, markersize=6)
        axes.set_yticks(range(len(estimates)), [shortened(estimate.name) for estimate in estimates])
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"{xlabel}, 95 % interval")
    return svg_of(figure, f"{xlabel} of each run")


class Growth(NamedTuple):
    """What a system reaches with more and more of the training rows.

    dots: (amount, value, low, high) each. The bounds are None where there is no interval.
    """

    name: str
    dots: Sequence[tuple[float, float, float | None, float | None]]
    number: int


def growth_figure(lines: Sequence[Growth], xlabel: str, ylabel: str) -> str:
    """A metric with its 95 % intervals over the amount of training rows, on a logarithmic axis. Seeds share a line."""
    with drawing(height_in=3.1) as (figure, axes):
        for place, line in enumerate(lines):
            color, dash = look(line.number)
            amounts = sorted({dot[0] for dot in line.dots})
            means = [float(np.mean([dot[1] for dot in line.dots if dot[0] == amount])) for amount in amounts]
            beside = 1.0 + 0.03 * (place - (len(lines) - 1) / 2)  # so that intervals do not cover each other
            axes.plot([beside * x for x in amounts], means, color=color, linestyle=dash, label=shortened(line.name))
            for amount, value, low, high in line.dots:
                x = beside * amount
                if low is not None and high is not None:
                    axes.plot([x, x], [low, high], color=color, linewidth=1.4, solid_capstyle="butt")
                axes.plot([x], [value], "o", color=color, markersize=4.5)
        axes.set_xscale("log")
        amounts = sorted({dot[0] for line in lines for dot in line.dots})
        axes.set_xticks(amounts, [f"{amount:g}" for amount in amounts])
        axes.minorticks_off()
        axes.set_xlabel(xlabel)
        axes.set_ylabel(f"{ylabel}, 95 % interval")
        legend_below(figure, len(lines))
    return svg_of(figure, f"{ylabel} over the amount of training rows")


def layer_weights_figure(groups: Mapping[str, Sequence[float]], number: int) -> str:
    """Bars of the learnt weight of each layer (0 is the first hidden state), one set of bars a group."""
    num_layers = max(len(values) for values in groups.values())
    with drawing(height_in=2.7) as (figure, axes):
        width = 0.8 / len(groups)
        for place, (group, values) in enumerate(groups.items()):
            at = np.arange(len(values)) - 0.4 + width * (place + 0.5)
            axes.bar(at, values, width, color=look(number + place)[0], label=group if len(groups) > 1 else "learnt")
        if all(abs(sum(values) - 1) < 1e-3 for values in groups.values()):
            axes.axhline(1 / num_layers, color=INK, alpha=0.6, linestyle=":", linewidth=1.2, label="equal weights")
        axes.set_xlabel("layer")
        axes.set_ylabel("weight")
        axes.set_xlim(-0.6, num_layers - 0.4)
        axes.set_xticks(range(0, num_layers, 1 + num_layers // 14))
        axes.grid(axis="x", visible=False)
        legend_below(figure, len(groups) + 1)
    return svg_of(figure, "weight of each layer")


def confusion_figure(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Counts (C, C), a row for each target. The shade is the share of the row."""
    counts = np.asarray(confusion, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(labels)
    names = [shortened(label, 14) for label in labels]
    with drawing(height_in=max(2.4, min(0.9 + 0.33 * size, 4.6))) as (figure, axes):
        # Opacity stays under 0.8 so that the figures can be read on any shade, on a light page and on a dark one.
        colors = np.empty((size, size, 4))
        colors[..., :3], colors[..., 3] = to_rgb(PALETTE[0]), 0.8 * shares
        axes.pcolormesh(colors)
        _cell_texts(axes, counts)
        axes.set_xticks(np.arange(size) + 0.5, names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(np.arange(size) + 0.5, names)
        axes.tick_params(length=0, labelsize=9 if size <= 15 else 6.5)
        axes.set_ylim(size, 0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("target")
    return svg_of(figure, "confusion matrix, counts")


def shortened(name: str, most: int = 28) -> str:
    """At most `most` characters, the middle left out.

    >>> shortened("a" * 20 + "b" * 20, 9)
    'aaaa…bbbb'
    """
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[: most - 1 - half]}…{name[-half:]}"


def _cell_texts(axes: Axes, counts: NDArray[np.int64]) -> None:
    if len(counts) > 20:
        return
    for (row, column), count in np.ndenumerate(counts):
        if count:
            size = 9 if len(counts) <= 12 else 7
            axes.text(column + 0.5, row + 0.5, f"{count}", ha="center", va="center", fontsize=size)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving average over a twentieth of the log. The window shrinks at the ends."""
    reach = max(1, values.size // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(values.size)
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, values.size)
    return np.asarray((sums[high] - sums[low]) / (high - low))


def look(number: int) -> tuple[str, str]:
    """Colour and dash of a run, the same in every chart."""
    return PALETTE[number % len(PALETTE)], DASHES[number % len(DASHES)]


@contextmanager
def drawing(height_in: float) -> Iterator[tuple[Figure, Axes]]:
    """An empty chart in the style of all."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        yield figure, figure.add_subplot()


def legend_below(figure: Figure, num_entries: int) -> None:
    """A legend outside the axes: it cannot cover a line."""
    if num_entries > 1:
        figure.legend(loc="outside lower left", ncols=1 if num_entries > 3 else 2)


def numbered(svg: str, number: int) -> str:
    """The same <svg> with ids that no chart of another number has: a page must not hold an id twice."""
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>c{number}-", svg)


def svg_of(figure: Figure, title: str) -> str:
    """The figure as an <svg> element, the same bytes for the same figure."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has its own fonts
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)  # it would style the page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{escape(title)}"', svg, count=1)


_NO_METADATA: dict[str, Any] = dict.fromkeys(["Creator", "Date", "Format", "Type"])
