"""From an encoder and a folder of manifests to probes.json, probes.md and probes.png."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audiossl.analysis.collapse import probe_background
from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.distances import distances_as_json, layer_distances
from audiossl.analysis.few_shots import check_shots, draw_shots, run_shots, shots_as_json, shots_markdown
from audiossl.analysis.functionals import Functionals, collected, functionals_of
from audiossl.analysis.gradients import attention_weight, joined_with_gradients
from audiossl.analysis.probes import DETECTED, ProbeResult, best_layers, check_asked, check_labels, run_probes
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write, write_json
from audiossl.core.outputs import check_out
from audiossl.core.pictures import save_figure
from audiossl.core.types import metrics_as_json
from audiossl.data.leaks import check_leaks
from audiossl.data.manifests import read_manifest
from audiossl.encoders.kept import Identified, load_identified
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.upstream import Upstream
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.features.factors.applying import apply_factors
from audiossl.features.factors.fitted import Factors
from audiossl.features.source import FeatureSource
from audiossl.metrics.formatting import interval_written, intervals_note, with_unit, written

if TYPE_CHECKING:
    from lhotse import CutSet

_log = logging.getLogger(__name__)
_SPLITS = ("train", "dev", "test")


class Probed(NamedTuple):
    """What probing an encoder gives.

    facts: what probes.json holds.
    results: of all probes on all layers.
    encoder: what was probed.
    """

    facts: dict[str, Any]
    results: list[ProbeResult]
    encoder: Identified


def probe_upstream(
    name: str,
    data: Path,
    out: Path,
    options: ProbeOptions,
    upstream_options: Mapping[str, Any] | None = None,
    cache: CacheConfig | None = None,
) -> Probed:
    """Probe every chosen layer and write the results into `out`.

    name: of an encoder, as `load_upstream` takes it.
    data: a folder with the manifests train, dev and test.
    out: the folder for probes.json, probes.md and probes.png.
    options: what is asked of which layers.
    upstream_options: the encoder's own.
    cache: where means and deviations are kept, so that the encoder runs once. None for nowhere.
    Raises ConfigError, LabelError, and what loading the encoder and reading the sound raise.
    """
    check_asked(comma_list(options.probes), options.metric)
    check_out(out, "folder", [name, data])
    upstream_options = dict(upstream_options or {})
    encoder = load_identified(name, upstream_options)
    if options.losses:
        for layer in parse_layers(options.layers, encoder.upstream.num_layers):
            attention_weight(encoder.upstream, layer)
    cuts = {split: read_manifest(data / f"{split}.jsonl.gz") for split in _SPLITS}
    for sentence in check_leaks(cuts):
        _log.warning("Warning: %s", sentence)
    # The encoder runs once for all probes. A cache keeps what it gave for the next time.
    began = time.perf_counter()
    splits = _encoded(encoder, cuts, options, cache)
    # All that can be wrong with labels is said before the first probe is fitted.
    check_labels(splits)
    check_shots(splits["train"].labels, options.num_shots)
    encoded = time.perf_counter()
    chosen: Any = {"probes": comma_list(options.probes), "metric": options.metric, "seed": options.seed}
    how: Any = {"detection": options.detection}
    found = run_probes(splits, **how, **chosen)
    if options.losses:
        joined = joined_with_gradients(encoder.upstream, cuts, splits, options.losses, seed=options.seed)
        found += [
            row._replace(probe=f"{row.probe}+gradients") for row in run_probes(joined, **how, **chosen, even=True)
        ]
    facts: dict[str, Any] = {
        "upstream": name,
        "upstream_options": upstream_options,
        "upstream_fingerprint": encoder.fingerprint,
    }
    facts |= _facts(options, splits, found)
    further = _further(options, splits, found, out)
    if options.background_s:
        collapse = probe_background(cuts, lambda rows: _encoded(encoder, rows, options, cache), found, options)
        further["background"] = Further(collapse.as_json(), collapse.markdown(options.metric))
    facts |= {key: each.facts for key, each in further.items()}
    table = "\n\n".join([probes_markdown(found, options.metric), *(each.table for each in further.values())])
    facts["seconds"] = {"encoding": round(encoded - began, 2), "probing": round(time.perf_counter() - encoded, 2)}
    write_json(out / "probes.json", facts)
    with atomic_write(out / "probes.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    draw_curves(found, options.metric, out / "probes.png", chance=_chance(splits), title=name)
    return Probed(facts, found, encoder)


class Further(NamedTuple):
    """What was asked for beside the probes: for probes.json, and as Markdown."""

    facts: Any
    table: str


def _further(
    options: ProbeOptions, splits: Mapping[str, Functionals], found: Sequence[ProbeResult], out: Path
) -> dict[str, Further]:
    """What is made of the same vectors, by its name in probes.json."""
    made = {}
    if options.shots:
        how: Any = {"num_draws": options.draws, "metric": options.metric, "seed": options.seed}
        few = run_shots(splits, comma_list(options.probes), options.num_shots, **how)
        draw_shots(few, options.metric, out / "shots.png", chance=_chance(splits))
        made["shots"] = Further(shots_as_json(few), shots_markdown(few, options.metric))
    if options.detection:
        distances = distances_as_json(layer_distances(splits["train"]))
        made["distances"] = Further(distances, detection_markdown(found, options.metric, distances))
    return made


def _chance(splits: Mapping[str, Functionals]) -> float:
    return 1 / len(set(splits["train"].labels))


def _encoded(
    encoder: Identified, cuts: Mapping[str, CutSet], options: ProbeOptions, cache: CacheConfig | None
) -> dict[str, Functionals]:
    """What the probes read of each split."""
    if options.factors:
        return _factors(encoder.upstream, cuts, options, cache)
    upstream, weights = encoder
    layers = parse_layers(options.layers, upstream.num_layers)
    source = _source(upstream, weights, cache, layers)
    try:
        splits = {
            split: functionals_of(
                source or upstream,
                rows,
                layers,
                field=options.field,
                group=options.group,
                title=f"Encoding {split}",
            )
            for split, rows in cuts.items()
        }
    finally:
        if source is not None:
            source.store.close()
    return splits if options.pooling == "statistics" else {split: rows.means() for split, rows in splits.items()}


def _factors(
    upstream: Upstream, cuts: Mapping[str, CutSet], options: ProbeOptions, cache: CacheConfig | None
) -> dict[str, Functionals]:
    """Fitted factors of each split, on the layer that they are of."""
    factors = Factors.load(Path(options.factors))
    factors.check_encoder(upstream, f"The factors of {options.factors}")
    layer = factors.card.layer
    if options.layers != "all" and parse_layers(options.layers, upstream.num_layers) != [layer]:
        raise ConfigError(f"--layers {options.layers}: the factors of {options.factors} are of layer {layer}.")
    splits = {}
    for split, rows in cuts.items():
        found = apply_factors(factors, rows, upstream=upstream, cache=cache)
        batches = (([cut], [vector[None]]) for cut, vector in found)
        splits[split] = collected(batches, [layer], field=options.field, group=options.group)
    return splits


def _source(
    upstream: Upstream, fingerprint: str, cache: CacheConfig | None, layers: Sequence[int]
) -> FeatureSource | None:
    """Where means and deviations are read from and kept. None where nothing is to be, or can be, kept."""
    # With legacy padding, hidden states depend on the batch that a recording is in.
    if cache is None or getattr(getattr(upstream, "config", None), "padding", "exact") != "exact":
        return None
    return open_source(upstream, fingerprint, cache, "statistics", layers=layers)


def probes_markdown(found: Sequence[ProbeResult], metric: str) -> str:
    """A table with a line for each layer and a column for each probe: test figures with intervals.

    found: the results of all probes on all layers.
    metric: the one that is shown. The layer that is best by it on dev is bold.
    """
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
    note = intervals_note({metric: next(iter(found)).test[metric]})
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + (["", note] if note else []))


def detection_markdown(found: Sequence[ProbeResult], metric: str, distances: Sequence[Mapping[str, Any]]) -> str:
    """A table of detection, each class against the rest: a line for each probe on the layer that dev chose.

    found: the results of all probes on all layers.
    metric: by which dev chooses.
    distances: as probes.json has them.
    """
    lines = [["probe", "layer", "auroc (%)", "eer (%)"], ["---", "---:", "---:", "---:"]]
    for probe, row in best_layers(found, metric).items():
        figures = [
            f"{written(name, row.test[name].value)} {interval_written(name, row.test[name])}" for name in DETECTED
        ]
        lines.append([probe, str(row.layer), *figures])
    lines += [["", "", "", ""], ["distances", "layer", "KL (nats)", "Bhattacharyya (nats)"]]
    for each in distances:
        spans = [_span(each[name]) for name in ("kl", "bhattacharyya")]
        lines.append(["of classes", str(each["layer"]), *spans])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _span(metric: Mapping[str, Any]) -> str:
    ends = "" if metric.get("low") is None else f" [{metric['low']:.3g}, {metric['high']:.3g}]"
    return f"{metric['value']:.3g}{ends}"


def draw_curves(found: Sequence[ProbeResult], metric: str, path: Path, *, chance: float, title: str = "") -> None:
    """Draw the test metric over the layers, a curve with intervals for each probe. A ring is the layer that dev chose.

    found: the results of all probes on all layers.
    metric: the one that is shown.
    path: of the picture.
    chance: what guessing would give, a dotted line.
    title: what was probed.
    """
    from matplotlib.figure import Figure

    probes = list(dict.fromkeys(row.probe for row in found))
    best = best_layers(found, metric)
    layers = sorted({row.layer for row in found})
    figure = Figure(figsize=(max(5.0, 2.5 + 0.55 * len(layers)), 4.0))
    axes = figure.add_subplot()
    colours = ("#1b6ca8", "#d95f02", "#3a8f5d", "#7b4fa3", "#c2185b", "#00838f", "#6d4c41")
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
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _facts(options: ProbeOptions, splits: Mapping[str, Functionals], found: Sequence[ProbeResult]) -> dict[str, Any]:
    """What probes.json says beside what was asked of which encoder."""
    best = best_layers(found, options.metric)
    # All figures are there, so that another choice than that of dev can be looked at.
    return {
        "field": options.field,
        "pooling": options.pooling,
        "factors": options.factors,
        "gradients": options.losses,
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
                **(
                    {"classes": {name: metrics_as_json(each) for name, each in row.classes.items()}}
                    if row.classes
                    else {}
                ),
            }
            for row in found
        ],
    }
