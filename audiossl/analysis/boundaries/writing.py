"""The folder of a study of boundaries: boundaries.json, .md, .png and the segmenter that dev chose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.analysis.boundaries.applying import Segmenter
from audiossl.analysis.boundaries.config import BoundaryOptions
from audiossl.analysis.boundaries.study import BoundaryStudy, Found
from audiossl.analysis.callers import asked_encoder
from audiossl.core.files import atomic_write, write_json
from audiossl.core.pictures import save_figure
from audiossl.core.types import metrics_as_json
from audiossl.metrics.boundaries import BOUNDARY_METRICS
from audiossl.metrics.formatting import interval_written, intervals_note, with_unit, written

STEM = "boundaries"


def write_boundaries(study: BoundaryStudy, out: Path, options: BoundaryOptions) -> str:
    """Write everything into a folder. Returns the tables as Markdown."""
    facts = {
        "options": dataclasses.asdict(options),
        "num_true": int(study.chosen[0].counts[:, 0].sum()),
        "chosen_on_dev": [_as_json(each) for each in study.chosen],
        "results": [_as_json(each) for each in study.results],
        "differences": {name: each._asdict() for name, each in study.differences.items()},
    }
    write_json(out / f"{STEM}.json", facts)
    table = boundaries_markdown(study, options)
    with atomic_write(out / f"{STEM}.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    draw_boundaries(study, out / f"{STEM}.png")
    segmenter_of(study).save(out)
    return table


def segmenter_of(study: BoundaryStudy) -> Segmenter:
    """The best of an encoder as it is on dev."""
    best = study.best
    named = asked_encoder(best.encoder)
    return Segmenter(
        named.name, named.options, study.fingerprints[best.encoder], best.layer, best.setting, best.shift_s
    )


def boundaries_markdown(study: BoundaryStudy, options: BoundaryOptions) -> str:
    """Tables of what dev chose, tested, and of differences."""
    header = ["encoder", "method", "layer", "setting", "shift (ms)", *map(with_unit, BOUNDARY_METRICS)]
    lines = [header, ["---", "---", "---:", "---", *["---:"] * (1 + len(BOUNDARY_METRICS))]]
    for each in study.chosen:
        figures = [
            f"{written(name, each.test[name].value)} {interval_written(name, each.test[name])}"
            for name in BOUNDARY_METRICS
        ]
        own = [
            each.title,
            each.setting.method,
            str(each.layer),
            each.setting.told(),
            f"{round(1000 * each.shift_s):+d}",
        ]
        lines.append([*own, *(figure.strip() for figure in figures)])
    further = [["R-value", with_unit("r_value"), "p"], ["---", "---:", "---:"]]
    for name, gap in study.differences.items():
        span = interval_written("r_value", gap)  # type: ignore[arg-type]
        p_value = "" if gap.p_value is None else f"{gap.p_value:.2g}"
        further.append([name, f"{written('r_value', gap.value)} {span}".strip(), p_value])
    num_true = int(study.chosen[0].counts[:, 0].sum())
    opening = (
        f"{num_true} true boundaries in {len(study.test.boundaries)} recordings, a tolerance of "
        f"{1000 * options.tolerance_s:.0f} ms. Settings, layers and shifts were chosen on dev by the R-value."
    )
    note = intervals_note({"r_value": study.chosen[0].test["r_value"]})
    return "\n\n".join(filter(None, [opening, _table(lines), _table(further), note]))


def draw_boundaries(study: BoundaryStudy, path: Path) -> None:
    """Draw the R-value over the layers: a panel a method, a curve for each encoder, dashed for random weights."""
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(each.setting.method for each in study.results))
    encoders = list(dict.fromkeys(each.encoder for each in study.results))
    figure = Figure(figsize=(3.2 * len(methods) + 1.6, 3.6))
    panels = figure.subplots(1, len(methods), sharey=True, squeeze=False)[0]
    for axes, method in zip(panels, methods, strict=True):
        for number, title in enumerate(dict.fromkeys(each.title for each in study.results)):
            rows = sorted(
                (each for each in study.results if (each.title, each.setting.method) == (title, method)),
                key=lambda each: each.layer,
            )
            deepest, beside = max(max(each.layer for each in rows), 1), 0.01 * number
            x = [each.layer / deepest + beside for each in rows]
            found = [each.test["r_value"] for each in rows]
            low = [each.value - each.low if each.low is not None else 0.0 for each in found]
            high = [each.high - each.value if each.high is not None else 0.0 for each in found]
            how: dict[str, Any] = {
                "color": f"C{encoders.index(rows[0].encoder) % 10}",
                "marker": "o",
                "markersize": 3.5,
            }
            how |= {"linestyle": "--" if rows[0].what else "-", "elinewidth": 0.8, "linewidth": 1.3}
            axes.errorbar(x, [each.value for each in found], yerr=[low, high], label=title, **how)
        axes.set_title(method, fontsize=10, loc="left")
        axes.set_xlabel("layer, share of depth")
    panels[0].set_ylabel("R-value on test, 95 % interval")
    panels[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _as_json(each: Found) -> dict[str, Any]:
    own = {"encoder": each.encoder, "what": each.what, "layer": each.layer, "setting": each.setting._asdict()}
    return {**own, "shift_s": each.shift_s, "dev_r_value": each.dev, "test": metrics_as_json(each.test)}


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
