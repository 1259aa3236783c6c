"""The folder of an analysis: analysis.json, curves.csv, analysis.md and figures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.layerwise.curves import LayerPoint
from audiossl.analysis.layerwise.drawing import LayerCurve, draw_curves, draw_grid
from audiossl.analysis.layerwise.encoders import ASKED
from audiossl.analysis.layerwise.study import EncoderCurves, Study
from audiossl.core.config import as_dict
from audiossl.core.files import atomic_write, write_json
from audiossl.core.types import Metric
from audiossl.core.untrusted import file_names
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.formatting import clusters_written
from audiossl.metrics.jackknife import Difference, correlation_metric, difference_of, metric_of

SHARES = ("pnmi", "cka_biased", "rank")  # between 0 and 1
ANY_NUMBER = ("logme", "ped", "tmi")  # the others are between -1 and 1
TITLES = {
    "pwcca": "PWCCA",
    "svcca": "SVCCA",
    "cka": "CKA",
    "cka_biased": "CKA, biased",
    "rsa": "RSA",
    "pnmi": "PNMI of units",
    "logme": "LogME",
    "ped": "LogME after PED",
    "tmi": "TMI",
    "rank": "effective rank / width",
}

GRID_FIGURE = "all_layers_{measure}.png"


class Peak(NamedTuple):
    """The layer of an encoder that shares most with a view, and how it differs from what stands beside the encoder.

    point: of that layer.
    metric: with its interval.
    beside: the same layer of other encoders, by what they are called: its figure minus theirs.
    """

    encoder: str
    point: LayerPoint
    metric: Metric
    beside: dict[str, Difference]


def metric_of_point(point: LayerPoint, clusters: Clusters) -> Metric:
    """A point's figure with its interval."""
    estimate = point.estimate
    if point.measure in SHARES:
        return metric_of(estimate._replace(scale="share"), clusters)
    if point.measure in ANY_NUMBER:
        return metric_of(estimate, clusters)
    return correlation_metric(estimate, clusters)


def measures_of(study: Study, view: str) -> list[str]:
    """The measures that there are of a view, in the order of figures."""
    there = {point.measure for each in study.encoders for point in each.points if point.view == view}
    return [measure for measure in TITLES if measure in there]


def peaks(study: Study, view: str, measure: str) -> list[Peak]:
    """Of each encoder that was asked for, the layer with the highest figure, which the same recordings have chosen.

    Of `layers`, which compares with the first one, it is the last layer.
    """
    made = []
    for each in study.encoders:
        rows = [point for point in each.points if (point.view, point.measure) == (view, measure)]
        if each.studied.role != ASKED or not rows:
            continue
        best = rows[-1] if view == "layers" else max(rows, key=lambda point: np.nan_to_num(point.estimate.value))
        metric = metric_of_point(best, study.material.clusters)
        made.append(Peak(each.studied.written, best, metric, _beside(study, each, best)))
    return made


def _beside(study: Study, each: EncoderCurves, best: LayerPoint) -> dict[str, Difference]:
    """The same layer of what stands beside an encoder."""
    found = {}
    for other in study.encoders:
        if other.studied.beside != each.studied.written:
            continue
        same = [p for p in other.points if (p.view, p.measure, p.layer) == (best.view, best.measure, best.layer)]
        for point in same:
            found[other.studied.written] = difference_of(best.estimate, point.estimate, study.material.clusters)
    return found


def write_study(study: Study, out: Path, facts: Mapping[str, Any]) -> list[Path]:
    """Write everything into a folder. Returns the figures.

    study: what was found.
    out: the folder.
    facts: what was asked, for analysis.json.
    """
    write_json(out / "analysis.json", {**facts, **as_json(study)})
    _write_csv(study, out / "curves.csv")
    with atomic_write(out / "analysis.md") as temporary:
        temporary.write_text(markdown(study) + "\n", encoding="utf-8")
    made = []
    for view, name in figures_of(study).items():
        made.append(out / "figures" / name)
        curves = view_curves(study, view)
        draw_curves({title: each for title, each in curves.items() if title != TITLES["cka_biased"]}, view, made[-1])
    if study.grid is not None:
        for measure in study.grid.values:
            made.append(out / "figures" / GRID_FIGURE.format(measure=measure))
            draw_grid(study.grid, measure, made[-1])
    return made


def figures_of(study: Study) -> dict[str, str]:
    """The name of the picture of each view."""
    views = [view.name for view in study.material.views]
    return {view: path.name for view, path in zip(views, file_names(views, ".png"), strict=True)}


def view_curves(study: Study, view: str) -> dict[str, list[LayerCurve]]:
    """The curve of each encoder, by the title of the measure."""
    clusters = study.material.clusters
    made: dict[str, list[LayerCurve]] = {}
    for measure in measures_of(study, view):
        for each in study.encoders:
            rows = [point for point in each.points if (point.view, point.measure) == (view, measure)]
            depth = [point.layer / max(each.num_layers - 1, 1) for point in rows]
            curve = LayerCurve(each.studied, depth, [metric_of_point(point, clusters) for point in rows])
            made.setdefault(TITLES[measure], []).append(curve)
    return made


def as_json(study: Study) -> dict[str, Any]:
    """Everything that was found, as plain data."""
    material, grid = study.material, study.grid
    found: dict[str, Any] = {
        "options": as_dict(material.options),
        "num_recordings": len(material.cuts),
        "audio_s": round(sum(cut.duration for cut in material.cuts), 3),
        "clusters": {"kind": material.clusters.kind, "number": material.clusters.num},
        "views": [
            {**view._asdict(), "figure": figure, "notes": notes_of(study, view.name)}
            for view, figure in zip(material.views, figures_of(study).values(), strict=True)
        ],
        "items": [
            {"name": each.name, "number": len(each.segments), "classes": each.classes, "remark": each.remark}
            for each in material.items
        ],
        "encoders": [
            {**each.studied._asdict(), "fingerprint": each.fingerprint, "layers": each.layers}
            for each in study.encoders
        ],
        "points": [
            {
                "encoder": each.studied.written,
                **{key: value for key, value in point._asdict().items() if key != "estimate"},
                **_plain(metric_of_point(point, material.clusters).as_json()),
            }
            for each in study.encoders
            for point in each.points
        ],
        "peaks": [
            {
                "encoder": peak.encoder,
                "view": view.name,
                "measure": measure,
                "title": TITLES[measure],
                "layer": peak.point.layer,
                **_plain(peak.metric._asdict()),
                "minus": {name: _plain(each._asdict()) for name, each in peak.beside.items()},
            }
            for view in material.views
            for measure in measures_of(study, view.name)
            for peak in peaks(study, view.name, measure)
        ],
    }
    if grid is not None:
        found["grid"] = {
            "num_moments": grid.num_moments,
            "figures": [GRID_FIGURE.format(measure=measure) for measure in grid.values],
            "places": [list(place) for place in grid.places],
            **{measure: values.round(6).tolist() for measure, values in grid.values.items()},
        }
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """NaN is null in JSON."""
    return {key: None if isinstance(value, float) and value != value else value for key, value in row.items()}


def _write_csv(study: Study, path: Path) -> None:
    titles = ["encoder", "layer", "view", "measure", "value", "low", "high", "items", "held_out", "remark"]
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(titles)
        for each in study.encoders:
            for point in each.points:
                metric = metric_of_point(point, study.material.clusters)
                remark = "; ".join(filter(None, [point.remark, metric.remark]))
                ends = ["" if end is None else f"{end:.6g}" for end in (metric.low, metric.high)]
                figures = [f"{metric.value:.6g}", *ends, str(point.num_items), point.held_out, remark]
                writer.writerow([each.studied.written, point.layer, point.view, point.measure, *figures])


def peak_lines(study: Study, view: str) -> list[list[str]]:
    """A line for each measure and encoder: measure, encoder, layer, figure, and how it differs from those beside."""
    lines = []
    for measure in measures_of(study, view):
        for peak in peaks(study, view, measure):
            beside = "; ".join(f"{name}: {difference_written(each)}" for name, each in peak.beside.items())
            lines.append([TITLES[measure], peak.encoder, str(peak.point.layer), _written(peak.metric), beside])
    return lines


PEAK_TITLES = ("measure", "encoder", "layer", "there", "minus the same layer of")


def notes_of(study: Study, view: str) -> list[str]:
    """What a reader must know of a view's figures, a sentence each."""
    points = [point for each in study.encoders for point in each.points if point.view == view]
    clusters = study.material.clusters
    first = points[0]
    sentences = [f"{first.num_items:,} {'frames' if first.view in ('layers', 'mel') else 'items'}"]
    if held := next((point.held_out for point in points if point.held_out), ""):
        sentences[0] += f"; what is tested is of other {held}s than what is fitted"
    sentences[0] += f"; 95 % intervals over {clusters_written(clusters.num, clusters.kind)}"
    sentences += list(dict.fromkeys(part for point in points for part in point.remark.split("; ") if part))
    sentences += [clusters.remark] if clusters.remark else []
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]


def markdown(study: Study) -> str:
    """A table of peaks for each view."""
    parts: list[str] = []
    for view in study.material.views:
        lines: Sequence[Sequence[str]] = [PEAK_TITLES, ["---"] * len(PEAK_TITLES), *peak_lines(study, view.name)]
        parts += [f"## {view.name}", ""]
        parts += ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        parts += ["", " ".join(notes_of(study, view.name)), ""]
    return "\n".join(parts).rstrip()


def _written(metric: Metric) -> str:
    ends = "" if metric.low is None or metric.high is None else f" [{metric.low:.3f}, {metric.high:.3f}]"
    return f"{metric.value:.3f}{ends}"


def difference_written(difference: Difference) -> str:
    """`+0.120 [0.050, 0.190]`."""
    known = difference.low is not None and difference.high is not None
    return f"{difference.value:+.3f}" + (f" [{difference.low:.3f}, {difference.high:.3f}]" if known else "")
