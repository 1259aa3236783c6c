"""What was tried on dev: in words, as lines of a chart, and as a figure for each layer by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from audiossl.experiments.suites.results import CellResult, Tried
from audiossl.metrics.formatting import scaled
from audiossl.report.suites.charts import TriedLine


def mean_trials(cells: Sequence[CellResult]) -> list[Tried]:
    """What was tried in all of these cells, with the mean of its figures on dev.

    cells: the folds of a cell, or one cell.
    """
    by_member: dict[str, list[Tried]] = {}
    for cell in cells:
        for tried in cell.trials:
            if tried.dev is not None:
                by_member.setdefault(tried.member, []).append(tried)
    return [
        Tried(member, found[0].values, fmean(float(tried.dev or 0.0) for tried in found))
        for member, found in by_member.items()
        if len(found) == len(cells)
    ]


def chosen_written(cells: Iterable[CellResult]) -> str:
    """What was chosen on dev in each of these cells, the most frequent first. '' where nothing was tried."""
    choices = Counter(filter(None, map(_chosen, cells)))
    if len(choices) < 2:
        return next(iter(choices), "")
    return " / ".join(f"{choice} ({count})" for choice, count in choices.most_common())


def _chosen(cell: CellResult) -> str:
    known = [tried for tried in cell.trials if tried.dev is not None]
    if not known:
        return ""
    best = (min if cell.mode == "min" else max)(known, key=lambda tried: tried.dev or 0.0)
    return ", ".join(_with_axis(axis, value) for axis, value in best.values.items())


def _with_axis(axis: str, value: Any) -> str:
    said = value_written(value)
    return said if _layer(value) is not None else f"{axis} {said}"


def tried_lines(trials: Iterable[Tried], metric: str) -> tuple[str, list[TriedLine]]:
    """(title of the axis, lines) of what was tried for a cell.

    trials: more than one.
    metric: of the values.
    """
    known = [tried for tried in trials if tried.dev is not None]
    varying = [
        axis for axis in ("lr", "interface", "task") if len({value_written(t.values.get(axis)) for t in known}) > 1
    ]
    if not varying:
        return "", []
    along, others = varying[0], varying[1:]
    lines: dict[str, list[tuple[float | str, float]]] = {}
    for tried in known:
        place = tried.values.get(along)
        at: float | str = float(place) if along == "lr" and place is not None else value_written(place)
        label = ", ".join(value_written(tried.values.get(axis)) for axis in others) or along
        lines.setdefault(label, []).append((at, scaled(metric, float(tried.dev or 0.0))))
    made = []
    for label, points in lines.items():
        ordered = sorted(points, key=lambda point: point[0]) if along == "lr" else points
        made.append(TriedLine(label, [place for place, _ in ordered], [value for _, value in ordered]))
    return {"lr": "learning rate", "interface": "interface", "task": "head"}[along], made


def figures_of_layers(trials: Iterable[Tried], mode: str = "max") -> list[float]:
    """The figure of each layer by itself, with the best of whatever else was tried. [] where a layer is missing.

    trials: of a cell.
    mode: 'max' or 'min', which of the figures is the best.
    """
    best = min if mode == "min" else max
    found: dict[int, float] = {}
    for tried in trials:
        layer = _layer(tried.values.get("interface"))
        if layer is not None and tried.dev is not None:
            found[layer] = best(found.get(layer, tried.dev), tried.dev)
    return [found[layer] for layer in range(len(found))] if found and sorted(found) == list(range(len(found))) else []


def value_written(value: Any) -> str:
    """A value of an axis in a few letters: the options of a mapping without its quotes.

    >>> value_written({"name": "layer", "index": 3}), value_written({"width": 8}), value_written(0.001)
    ('layer 3', 'width 8', '0.001')
    """
    if (layer := _layer(value)) is not None:
        return f"layer {layer}"
    if isinstance(value, dict):
        named = str(value["name"]) if "name" in value else ""
        rest = " ".join(f"{key} {each}" for key, each in value.items() if key != "name")
        return f"{named} {rest}".strip()
    return f"{value:g}" if isinstance(value, float) else "default" if value is None else str(value)


def _layer(value: Any) -> int | None:
    """The number of the layer where a value of an axis is one layer by itself."""
    if isinstance(value, dict) and value.keys() == {"name", "index"} and value["name"] == "layer":
        return int(value["index"])
    return None
