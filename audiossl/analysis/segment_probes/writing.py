"""The folder of a study of segments: segment_probes.json, .md and .png."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.analysis.segment_probes.scoring import JudgedCurve
from audiossl.analysis.segment_probes.study import FLAT, RANDOM_LABELS, RANDOM_WEIGHTS, VOCODED, SegmentStudy
from audiossl.core.comma_lists import comma_list
from audiossl.core.files import atomic_write, write_json
from audiossl.core.pictures import save_figure
from audiossl.core.types import Metric, metrics_as_json
from audiossl.metrics.formatting import interval_written, intervals_note, with_unit, written

STEM = "segment_probes"
_STYLES = {"": "-", RANDOM_WEIGHTS: "--", VOCODED: "-.", FLAT: ":", RANDOM_LABELS: (0, (1, 4))}


def write_study(study: SegmentStudy, out: Path, options: SegmentProbeOptions) -> str:
    """Write everything into a folder. Returns the tables as Markdown."""
    write_json(out / f"{STEM}.json", study_as_json(study, options))
    table = study_markdown(study, options)
    with atomic_write(out / f"{STEM}.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    draw_study(study, options, out / f"{STEM}.png")
    return table


def study_as_json(study: SegmentStudy, options: SegmentProbeOptions) -> dict[str, Any]:
    """All figures, so that another choice than that of dev can be looked at."""
    groups = {
        encoder: {
            column: {name: {"segments": size, "test": metrics_as_json(found)} for name, (size, found) in values.items()}
            for column, values in columns.items()
        }
        for encoder, columns in study.groups.items()
    }
    return {
        "options": dataclasses.asdict(options),
        "metric": options.score,
        "num_segments": len(study.asked.segments),
        "classes": dict(Counter(study.asked.targets.tolist())) if options.kind == "classes" else None,
        "num_tests": len(study.asked.cells),
        "curves": [each.as_json() for each in study.curves],
        "differences": {name: each._asdict() for name, each in study.differences.items()},
        "groups": groups,
    }


def study_markdown(study: SegmentStudy, options: SegmentProbeOptions) -> str:
    """Tables of layers, of the layers that dev chose, of differences and of groups."""
    metric = options.score
    parts = [_opening(study, options), _layers(study.curves, metric), _chosen(study.curves, metric)]
    lines = [["difference", with_unit(metric), "p"], ["---", "---:", "---:"]]
    for name, each in study.differences.items():
        span = interval_written(metric, each) if each.low is not None else ""  # type: ignore[arg-type]
        p_value = "" if each.p_value is None else f"{each.p_value:.2g}"
        lines.append([name, f"{written(metric, each.value)} {span}".strip(), p_value])
    parts.append(_table(lines))
    for encoder, columns in study.groups.items():
        for column, values in columns.items():
            lines = [[f"{encoder}: {column}", "segments", with_unit(metric)], ["---", "---:", "---:"]]
            lines += [[name, str(size), _figure(found, metric)] for name, (size, found) in values.items()]
            parts.append(_table(lines))
    note = intervals_note({metric: study.curves[0].chosen[metric]})
    return "\n\n".join([*parts, *([note] if note else [])])


def _opening(study: SegmentStudy, options: SegmentProbeOptions) -> str:
    asked = study.asked
    target = f"{len(set(asked.targets.tolist()))} classes" if options.kind == "classes" else "a number"
    held_out = " and ".join(comma_list(options.disjoint))
    return (
        f"{len(asked.segments)} segments, {options.target} ({target}), {options.probe}, {options.pool} of frames; "
        f"{len(asked.cells)} tests in which training has no {held_out} of the test."
    )


def _layers(curves: Sequence[JudgedCurve], metric: str) -> str:
    layers = sorted({layer for each in curves for layer in each.layers})
    lines = [["layer", *(each.curve.title for each in curves)], ["---:"] * (len(curves) + 1)]
    for layer in layers:
        lines.append([str(layer), *(_figure(each.layers.get(layer), metric) for each in curves)])
    return _table(lines)


def _chosen(curves: Sequence[JudgedCurve], metric: str) -> str:
    lines = [["layer that dev chose", "layers", with_unit(metric)], ["---", "---:", "---:"]]
    for each in curves:
        counts = Counter(each.picks).most_common()
        lines.append([each.curve.title, ", ".join(str(layer) for layer, _ in counts), _figure(each.chosen, metric)])
    return _table(lines)


def _figure(found: Any, metric: str) -> str:
    if found is None or metric not in found:
        return ""
    return f"{written(metric, found[metric].value)} {interval_written(metric, found[metric])}".strip()


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def draw_study(study: SegmentStudy, options: SegmentProbeOptions, path: Path) -> None:
    """Draw the metric over the layers, a curve with intervals for each encoder, dashed for its controls."""
    from matplotlib.figure import Figure

    metric, figure = options.score, Figure(figsize=(7.5, 4.2))
    axes = figure.add_subplot()
    encoders = list(dict.fromkeys(each.curve.encoder for each in study.curves))
    deepest = {name: max(max(each.layers) for each in study.curves if each.curve.encoder == name) for name in encoders}
    shared = len(set(deepest.values())) == 1
    beside = 0.0
    for number, name in enumerate(encoders):
        own = [each for each in study.curves if each.curve.encoder == name]
        for each in own:
            layers = sorted(each.layers)
            x = [beside + (layer if shared else layer / max(deepest[name], 1)) for layer in layers]
            beside += 0.012 * (max(deepest.values()) if shared else 1)  # so that intervals do not hide each other
            y, errors = _with_errors([each.layers[layer].get(metric) for layer in layers])
            how: dict[str, Any] = {"color": f"C{number % 10}", "marker": "o", "markersize": 3.5, "elinewidth": 0.8}
            how |= {"linestyle": _STYLES[each.curve.what], "linewidth": 1.3, "label": each.curve.title}
            axes.errorbar(x, y, yerr=errors, **how)
    if options.kind == "classes":
        axes.axhline(1 / len(set(study.asked.targets.tolist())), color="grey", linestyle=":", linewidth=1)
    axes.set_xlabel("layer" if shared else "layer, as a share of the encoder's depth")
    axes.set_ylabel(f"{metric}, 95 % interval")
    axes.set_title(f"{options.target} of segments", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _with_errors(found: Sequence[Metric | None]) -> tuple[list[float], list[list[float]]]:
    """Values, and how far intervals reach below and above them. What is undefined is 0, without an interval."""
    known = [metric or Metric(0.0) for metric in found]
    low = [0.0 if each.low is None else max(0.0, each.value - each.low) for each in known]
    high = [0.0 if each.high is None else max(0.0, each.high - each.value) for each in known]
    return [each.value for each in known], [low, high]
