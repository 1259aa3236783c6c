"""The folder of a study: discrimination.json, .md and .png."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.analysis.discrimination.keeping import ScoreName
from audiossl.analysis.discrimination.study import DiscriminationStudy, EncoderScores
from audiossl.analysis.layerwise.encoders import ASKED
from audiossl.core.files import atomic_write, write_json
from audiossl.core.pictures import save_figure
from audiossl.core.types import Metric
from audiossl.metrics.jackknife import metric_of

STEM = "discrimination"
_TITLES = {
    "ap": "AP, all pairs",
    "ap_across": "AP, across speakers",
    "abx_within": "ABX error within speakers",
    "abx_across": "ABX error across speakers",
    "similarity": "word similarity",
}


def write_study(study: DiscriminationStudy, out: Path, options: DiscriminationOptions) -> str:
    """Write everything into a folder. Returns the tables as Markdown."""
    write_json(out / f"{STEM}.json", study_as_json(study, options))
    table = study_markdown(study)
    with atomic_write(out / f"{STEM}.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    draw_study(study, out / f"{STEM}.png")
    return table


def study_as_json(study: DiscriminationStudy, options: DiscriminationOptions) -> dict[str, Any]:
    """All figures with their intervals."""
    comparison = study.comparison
    encoders = [
        {
            "encoder": each.studied.written,
            "role": each.studied.role,
            "layers": {
                str(layer): {str(name): _metric(study, each, layer, name).as_json() for name in each.names}
                for layer in each.layers
            },
            "best": {str(name): each.best(name) for name in each.names},
        }
        for each in study.encoders
    ]
    differences = {
        str(name): {title: each._asdict() for title, each in found.items()} for name, found in study.differences.items()
    }
    return {
        "options": dataclasses.asdict(options),
        "num_segments": len(comparison.segments),
        "labels": dict(Counter(each.label for each in comparison.segments)),
        "num_speakers": len(set(comparison.speakers)),
        "pairs": {name: [int(each.same.sum()), len(each.same)] for name, each in comparison.pairs.items()},
        "cells": {name: len(cells) for name, cells in comparison.cells.items()},
        "left_out": comparison.left_out,
        "num_ratings": len(study.ratings),
        "encoders": encoders,
        "differences": differences,
    }


def study_markdown(study: DiscriminationStudy) -> str:
    """A table of layers for each figure, then the best layers and what they differ by."""
    parts = [_opening(study)]
    names = study.encoders[0].names
    for name in names:
        layers = sorted({layer for each in study.encoders for layer in each.layers})
        lines = [[f"{_title(name)}: layer", *(each.studied.written for each in study.encoders)]]
        lines.append(["---:"] * len(lines[0]))
        for layer in layers:
            cells = [str(_metric(study, each, layer, name)) if layer in each.layers else "" for each in study.encoders]
            lines.append([str(layer), *map(_short, cells)])
        parts.append(_table(lines))
    lines = [["best layer", "encoder", "layer", "figure"], ["---", "---", "---:", "---:"]]
    for name in names:
        for each in study.encoders:
            layer = each.best(name)
            lines.append(
                [_title(name), each.studied.written, str(layer), _short(str(_metric(study, each, layer, name)))]
            )
    parts.append(_table(lines))
    lines = [["difference of best layers", "figure", "difference", "p"], ["---", "---", "---:", "---:"]]
    for name in names:
        for title, gap in study.differences[name].items():
            span = "" if gap.low is None else f" [{gap.low:+.3f}, {gap.high:+.3f}]"
            lines.append(
                [title, _title(name), f"{gap.value:+.3f}{span}", "" if gap.p_value is None else f"{gap.p_value:.2g}"]
            )
    if len(lines) > 2:
        parts.append(_table(lines))
    first = _metric(study, study.encoders[0], next(iter(study.encoders[0].layers)), names[0])
    remark = f" ({first.remark})" if first.remark else ""
    parts.append(
        f"95 % intervals over {first.num_clusters} {first.cluster}s{remark}. Best layers are chosen on these segments, "
        f"which makes their figures a little too good."
    )
    parts += [f"Without {name}: {why}" for name, why in study.comparison.left_out.items()]
    return "\n\n".join(parts)


def draw_study(study: DiscriminationStudy, path: Path) -> None:
    """Draw each figure over the layers, a panel for each, dashed for what stands beside an encoder."""
    from matplotlib.figure import Figure

    names = study.encoders[0].names
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows))
    asked = [each.studied.written for each in study.encoders if each.studied.role == ASKED]
    for panel, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, panel + 1)
        for each in study.encoders:
            color = f"C{asked.index(each.studied.beside or each.studied.written) % 10}"
            depth = max(max(each.layers), 1)
            x = [layer / depth for layer in each.layers]
            found = [_metric(study, each, layer, name) for layer in each.layers]
            low = [max(0.0, one.value - one.low) if one.low is not None else 0.0 for one in found]
            high = [max(0.0, one.high - one.value) if one.high is not None else 0.0 for one in found]
            style = "-" if each.studied.role == ASKED else "--"
            how: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.3, "elinewidth": 0.8}
            y = [one.value for one in found]
            axes.errorbar(x, y, yerr=[low, high], linestyle=style, color=color, label=each.studied.written, **how)
        if name.smaller_is_better:
            axes.axhline(0.5, color="grey", linestyle=":", linewidth=1)
        axes.set_title(_title(name), fontsize=9, loc="left")
        axes.set_xlabel("layer, as a share of the depth", fontsize=8)
        axes.tick_params(labelsize=8)
        if panel == columns - 1:
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _opening(study: DiscriminationStudy) -> str:
    comparison = study.comparison
    facts = [
        f"{len(comparison.segments)} segments of {len({each.label for each in comparison.segments})} labels by "
        f"{len(set(comparison.speakers))} speakers"
    ]
    facts += [
        f"{name}: {int(each.same.sum())} same of {len(each.same)} pairs" for name, each in comparison.pairs.items()
    ]
    facts += [f"{name}: {len(cells)} cells" for name, cells in comparison.cells.items()]
    if study.ratings:
        facts.append(f"{len(study.ratings)} rated pairs of words")
    return "; ".join(facts) + "."


def _metric(study: DiscriminationStudy, each: EncoderScores, layer: int, name: ScoreName) -> Metric:
    return metric_of(each.layers[layer][name], study.comparison.clusters.merged())


def _title(name: ScoreName) -> str:
    return f"{_TITLES.get(name.score, name.score)} ({name.distance})"


def _short(text: str) -> str:
    """Figures with three digits behind the point."""
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.3f}", text)


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
