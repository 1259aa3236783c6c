"""From an encoder and a folder of manifests to probes.json, probes.md and probes.png."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from audiossl.analysis.functionals import Functionals, functionals_of
from audiossl.analysis.probes import Probed, best_layers, check_labels, run_probes
from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write, write_json
from audiossl.core.tensors import fingerprint
from audiossl.core.types import metrics_as_json
from audiossl.data.leaks import check_leaks
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.formatting import interval_written, with_unit, written

_log = logging.getLogger(__name__)
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class ProbeOptions:
    """What the command line offers."""

    field: str = "label"
    """The column with the classes."""
    probes: str = "linear,knn,svm,mlp"
    """Of linear, knn, svm and mlp, with commas."""
    layers: str = "all"
    """'all', or numbers with commas."""
    metric: str = "uar"
    """'uar', 'accuracy' or 'f1'."""
    group: str = "recording"
    """What the bootstrap draws as a whole: 'recording', 'speaker' or another field."""
    seed: int = 0
    """Seed of the MLP."""


def probe_upstream(
    name: str, data: Path, out: Path, options: ProbeOptions, upstream_options: Mapping[str, Any]
) -> dict[str, Any]:
    """Probe every chosen layer and write the results into `out`; returns what probes.json holds."""
    upstream = load_upstream(name, **dict(upstream_options))
    layers = chosen_layers(options.layers, upstream)
    cuts = {split: read_manifest(data / f"{split}.jsonl.gz") for split in _SPLITS}
    for sentence in check_leaks(cuts):
        _log.warning("Warning: %s", sentence)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = time.perf_counter()
    splits = {
        split: functionals_of(
            upstream, rows, layers, field=options.field, group=options.group, device=device, what=f"Encoding {split}"
        )
        for split, rows in cuts.items()
    }
    check_labels(splits)
    encoded = time.perf_counter()
    found = run_probes(splits, options.probes.split(","), metric=options.metric, seed=options.seed)
    facts = _facts(name, upstream, upstream_options, options, splits, found)
    facts["seconds"] = {"encoding": round(encoded - began, 2), "probing": round(time.perf_counter() - encoded, 2)}
    write_json(out / "probes.json", facts)
    with atomic_write(out / "probes.md") as temporary:
        temporary.write_text(probes_markdown(found, options.metric) + "\n", encoding="utf-8")
    draw_curves(found, options.metric, out / "probes.png", chance=1 / len(set(splits["train"].labels)), title=name)
    return facts


def chosen_layers(text: str, upstream: Upstream) -> list[int]:
    """'all', or numbers with commas, negative ones from the end. Raises ConfigError."""
    count = upstream.num_layers
    if text == "all":
        return list(range(count))
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [count]
    if not all(-count <= number < count for number in numbers):
        raise ConfigError(
            f"--layers {text}: this upstream has layers 0 to {count - 1}; write all, or 0,2 for instance."
        )
    return sorted({number % count for number in numbers})


def probes_markdown(found: Sequence[Probed], metric: str) -> str:
    """A line for each layer, a column for each probe: test figures with intervals; bold is what dev chose."""
    probes = list(dict.fromkeys(row.probe for row in found))
    best = {probe: row.layer for probe, row in best_layers(found, metric).items()}
    lines = [["layer", *(f"{probe}: {with_unit(metric)}" for probe in probes)], ["---:"] * (len(probes) + 1)]
    for layer in dict.fromkeys(sorted(row.layer for row in found)):
        cells = [str(layer)]
        for probe in probes:
            row = next(row for row in found if (row.probe, row.layer) == (probe, layer))
            value = written(metric, row.test[metric].value)
            figure = f"{value} {interval_written(metric, row.test[metric])}".strip()
            cells.append(f"**{figure}** ({row.setting}={row.value:g})" if best[probe] == layer else figure)
        lines.append(cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw_curves(found: Sequence[Probed], metric: str, path: Path, *, chance: float, title: str = "") -> None:
    """The test metric over the layers, a curve with intervals for each probe; a ring is the layer that dev chose."""
    from matplotlib.figure import Figure

    probes = list(dict.fromkeys(row.probe for row in found))
    best = best_layers(found, metric)
    layers = sorted({row.layer for row in found})
    figure = Figure(figsize=(max(5.0, 2.5 + 0.55 * len(layers)), 4.0))
    axes = figure.add_subplot()
    colours = ("#1b6ca8", "#d95f02", "#3a8f5d", "#7b4fa3")
    for place, probe in enumerate(probes):
        rows = sorted((row for row in found if row.probe == probe), key=lambda row: row.layer)
        beside = 0.06 * (place - (len(probes) - 1) / 2)  # so that intervals do not hide each other
        x = [row.layer + beside for row in rows]
        values = [row.test[metric].value for row in rows]
        spans = [
            (row.test[metric].low or value, row.test[metric].high or value)
            for row, value in zip(rows, values, strict=True)
        ]
        errors = [
            [max(0.0, value - low) for value, (low, _) in zip(values, spans, strict=True)],
            [max(0.0, high - value) for value, (_, high) in zip(values, spans, strict=True)],
        ]
        colour = colours[place % len(colours)]
        axes.errorbar(
            x, values, yerr=errors, color=colour, marker="o", markersize=4, linewidth=1.4, elinewidth=0.9, label=probe
        )
        chosen = best[probe]
        axes.plot([chosen.layer + beside], [chosen.test[metric].value], "o", markersize=10, mfc="none", mec=colour)
    axes.axhline(chance, color="grey", linestyle=":", linewidth=1)
    axes.text(layers[-1] + 0.25, chance, "chance", color="grey", fontsize=8, va="bottom", ha="right")
    axes.set_xticks(layers)
    axes.set_xlabel("layer")
    axes.set_ylabel(f"{metric} on test, 95 % interval")
    axes.set_ylim(0, 1.02)
    axes.set_title(f"{title} (ring: the layer that dev chose)", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, ncols=len(probes), loc="lower center", bbox_to_anchor=(0.5, -0.32))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})


def _facts(
    name: str,
    upstream: Upstream,
    upstream_options: Mapping[str, Any],
    options: ProbeOptions,
    splits: Mapping[str, Functionals],
    found: Sequence[Probed],
) -> dict[str, Any]:
    best = best_layers(found, options.metric)
    return {
        "upstream": name,
        "upstream_options": dict(upstream_options),
        "upstream_fingerprint": fingerprint(upstream),
        "field": options.field,
        "metric": options.metric,
        "group": options.group,
        "seed": options.seed,
        "labels": sorted(set(splits["train"].labels)),
        "num_items": {split: len(rows.ids) for split, rows in splits.items()},
        "chosen_on_dev": {
            probe: {"layer": row.layer, row.setting: row.value, "test": metrics_as_json(row.test)}
            for probe, row in best.items()
        },
        "results": [
            {
                "probe": row.probe,
                "layer": row.layer,
                row.setting: row.value,
                "dev": metrics_as_json(row.dev),
                "test": metrics_as_json(row.test),
            }
            for row in found
        ],
    }
