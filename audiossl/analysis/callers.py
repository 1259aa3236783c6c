"""Who calls, by many encoders without fine-tuning: detection of each caller, and how far callers lie apart.

The protocol of "Can self-supervised neural representations pre-trained on human speech distinguish animal callers?"
(Sarkar and Magimai-Doss, 2023, arXiv:2305.14035) with splits and layers chosen soundly: dev chooses, test is looked at
once. An encoder is written as its name, with options in brackets: bandwidth[encoder=tera_mini,mode=time_expand].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.probes import DETECTED, ProbeResult, best_layers
from audiossl.analysis.probing import Probed, probe_upstream
from audiossl.core.comma_lists import comma_list
from audiossl.core.config import parse_overrides
from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write, write_json
from audiossl.core.outputs import check_out
from audiossl.core.pictures import save_figure
from audiossl.core.types import metrics_as_json
from audiossl.core.untrusted import file_names
from audiossl.features.config import CacheConfig
from audiossl.metrics.formatting import interval_written, intervals_note, with_unit, written

_WITH_OPTIONS = re.compile(r"(?P<name>[^\[\]]+)\[(?P<options>[^\[\]]*)\]")


class AskedEncoder(NamedTuple):
    """An encoder as it was written, its name and its options."""

    written: str
    name: str
    options: dict[str, Any]


class CallerStudy(NamedTuple):
    """What each encoder gave, in the order in which they were asked for. table: the comparison, as Markdown."""

    probed: dict[str, Probed]
    table: str


def asked_encoder(text: str) -> AskedEncoder:
    """An encoder from what a user writes. Raises ConfigError.

    >>> asked_encoder("tera_mini[weights=random,device=cpu]").options
    {'weights': 'random', 'device': 'cpu'}
    """
    found = _WITH_OPTIONS.fullmatch(text)
    if found is None:
        if "[" in text and not text.startswith(("hf:", "/", ".")):
            raise ConfigError(f"{text!r} is no encoder; write its options as NAME[key=value,key=value].")
        return AskedEncoder(text, text, {})
    pairs = comma_list(found["options"])
    return AskedEncoder(text, found["name"], parse_overrides(pairs, example="weights=random"))


def study_callers(
    encoders: Sequence[str], data: Path, out: Path, options: ProbeOptions, cache: CacheConfig | None = None
) -> CallerStudy:
    """Probe all encoders and compare them.

    encoders: as a user writes them.
    data: a folder with the manifests train, dev and test.
    out: the folder for callers.json, callers.md, callers.png, and one of `audiossl probe` for each encoder.
    options: of the probes. Detection is always asked for.
    cache: where vectors are kept. None for nowhere.
    Raises ConfigError for an encoder that is asked for twice, and what probing raises.
    """
    asked = [asked_encoder(text) for text in encoders]
    written_names = [each.written for each in asked]
    if twice := next((name for name in written_names if written_names.count(name) > 1), ""):
        raise ConfigError(f"{twice} is asked for twice; name each encoder once.")
    check_out(out, "folder", [data])
    options = replace(options, detection=True)
    folders = [out / each.stem for each in file_names(written_names, ".folder")]
    probed = {
        each.written: probe_upstream(each.name, data, folder, options, each.options, cache)
        for each, folder in zip(asked, folders, strict=True)
    }
    table = comparison_markdown(probed, options.metric)
    write_json(out / "callers.json", {"encoders": [_facts(name, each, options) for name, each in probed.items()]})
    with atomic_write(out / "callers.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    draw_encoders(probed, options.metric, out / "callers.png")
    return CallerStudy(probed, table)


def comparison_markdown(probed: Mapping[str, Probed], metric: str) -> str:
    """A line for each encoder and probe: the layer that dev chose, and test with intervals."""
    titles = [metric, *DETECTED]
    lines = [["encoder", "probe", "layer", *map(with_unit, titles), "KL", "Bhattacharyya"]]
    lines.append(["---", "---", *["---:"] * (len(titles) + 3)])
    for name, each in probed.items():
        distances = {row["layer"]: row for row in each.facts["distances"]}
        for probe, best in best_layers(each.results, metric).items():
            figures = [
                f"{written(one, best.test[one].value)} {interval_written(one, best.test[one])}".strip()
                for one in titles
            ]
            spans = [_span(distances[best.layer][one]) for one in ("kl", "bhattacharyya")]
            lines.append([name, probe, str(best.layer), *figures, *spans])
    first: ProbeResult = next(iter(probed.values())).results[0]
    note = intervals_note({metric: first.test[metric]})
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([*rows, "", f"Distances of training items in nats, at that layer. {note}".strip()])


def draw_encoders(probed: Mapping[str, Probed], metric: str, path: Path) -> None:
    """Draw the best probe of each encoder over its depth, a curve each, with intervals. A ring is dev's choice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2))
    axes = figure.add_subplot()
    for number, (name, each) in enumerate(probed.items()):
        best = max(best_layers(each.results, metric).values(), key=lambda row: row.dev[metric].value)
        rows = sorted((row for row in each.results if row.probe == best.probe), key=lambda row: row.layer)
        last, colour = max(rows[-1].layer, 1), f"C{number % 10}"
        beside = 0.006 * (number - (len(probed) - 1) / 2)
        x = [row.layer / last + beside for row in rows]
        y = [row.test[metric].value for row in rows]
        ends = [(row.test[metric].low or v, row.test[metric].high or v) for row, v in zip(rows, y, strict=True)]
        errors = [
            [max(0.0, v - low) for v, (low, _) in zip(y, ends, strict=True)],
            [max(0.0, high - v) for v, (_, high) in zip(y, ends, strict=True)],
        ]
        style: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4, "linewidth": 1.3, "elinewidth": 0.8}
        axes.errorbar(x, y, yerr=errors, label=f"{name} ({best.probe})", **style)
        axes.plot([best.layer / last + beside], [best.test[metric].value], "o", markersize=10, mfc="none", mec=colour)
    axes.set_xlabel("layer, as a share of the encoder's depth")
    axes.set_ylabel(f"{metric} on test, 95 % interval")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _facts(name: str, each: Probed, options: ProbeOptions) -> dict[str, Any]:
    distances = {row["layer"]: row for row in each.facts["distances"]}
    best = best_layers(each.results, options.metric)
    return {
        "encoder": name,
        "upstream_fingerprint": each.facts["upstream_fingerprint"],
        "probes": [
            {
                "probe": row.probe,
                "layer": row.layer,
                row.setting: row.value,
                "test": metrics_as_json(row.test),
                "callers": {label: metrics_as_json(figures) for label, figures in row.classes.items()},
                **{key: distances[row.layer][key] for key in ("kl", "bhattacharyya")},
            }
            for row in best.values()
        ],
    }


def _span(metric: Mapping[str, Any]) -> str:
    ends = "" if metric.get("low") is None else f" [{metric['low']:.3g}, {metric['high']:.3g}]"
    return f"{metric['value']:.3g}{ends}"
