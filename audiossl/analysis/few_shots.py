"""Probes from few examples: k training items of each class, drawn several times.

A draw of k items holds that of fewer, so that curves over k are of the same examples. Layer and setting of a probe are
chosen on dev, by the mean over draws. The figure is the mean over draws on test, with the interval of the average draw
over recordings, and beside it the deviation over draws: the one says what other recordings would change, the other
what other examples would.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.functionals import Functionals
from audiossl.analysis.probes import PROBES, Scaling
from audiossl.core.errors import LabelError
from audiossl.core.pictures import save_figure
from audiossl.core.terminal import progress
from audiossl.core.types import Metric, metrics_as_json
from audiossl.metrics.classification import classification_estimates, classification_metrics, classified_clusters
from audiossl.metrics.clusters import Ints
from audiossl.metrics.formatting import interval_written, intervals_note, with_unit, written
from audiossl.metrics.jackknife import Estimate, mean_of, metric_of


class ShotResult(NamedTuple):
    """A probe from few examples, on the layer that dev chose.

    setting, value: the name of the probe's setting, and the value that dev chose.
    test: metrics by name, means over draws.
    draws: the metric that dev chose by, on test, of each draw.
    """

    probe: str
    shots: int
    layer: int
    setting: str
    value: float
    test: dict[str, Metric]
    draws: list[float]


class _Fitted(NamedTuple):
    """What one setting of a probe is worth in all draws: the metric on dev, and predictions of test."""

    on_dev: list[float]
    predicted: list[list[str]]


def check_shots(labels: Sequence[str], shots: Sequence[int]) -> None:
    """Raise LabelError for a class of which training has too few items."""
    counts: dict[str, int] = defaultdict(int)
    for label in labels:
        counts[label] += 1
    rarest = min(sorted(counts), key=lambda label: counts[label])
    if shots and counts[rarest] < max(shots):
        raise LabelError(
            f"--shots {max(shots)}: training has {counts[rarest]} item(s) of the class {rarest!r}; ask for at most "
            f"{counts[rarest]}, or leave the class out."
        )


def drawn_shots(labels: Sequence[str], shots: int, draw: int, seed: int = 0) -> Ints:
    """Places of items of each class. With more shots the same items and others.

    labels: of all items.
    shots: how many of each class.
    draw: which draw it is.
    seed: of all draws.
    """
    chosen: list[int] = []
    for number, label in enumerate(sorted(set(labels))):
        places = [place for place, each in enumerate(labels) if each == label]
        order = np.random.default_rng([seed, draw, number]).permutation(len(places))
        chosen += [places[place] for place in order[:shots]]
    return np.array(sorted(chosen), dtype=np.int64)


def run_shots(
    splits: Mapping[str, Functionals],
    probes: Sequence[str],
    shots: Sequence[int],
    *,
    num_draws: int = 10,
    metric: str = "uar",
    seed: int = 0,
) -> list[ShotResult]:
    """Every probe from every number of examples, in the order of the probes.

    splits: vectors of train, dev and test.
    probes: names of `PROBES`.
    shots: how many training items of each class.
    num_draws: how often they are drawn.
    metric: uar, accuracy or f1, by which dev chooses.
    seed: of the draws and the classifiers.
    Raises LabelError for a class of which training has too few items.
    """
    check_shots(splits["train"].labels, shots)
    work = [(name, count) for name in probes for count in shots]
    return [
        _few(name, count, splits, num_draws, metric, seed)
        for name, count in progress(work, "Probing few examples", total=len(work))
    ]


def _few(
    name: str, shots: int, splits: Mapping[str, Functionals], num_draws: int, metric: str, seed: int
) -> ShotResult:
    grid, train, test = PROBES[name], splits["train"], splits["test"]
    drawn = [drawn_shots(train.labels, shots, draw, seed) for draw in range(num_draws)]
    best: tuple[float, int, float, _Fitted] | None = None
    for layer in train.layers:
        for value in grid.values:
            if name == "knn" and value > len(drawn[0]):
                continue
            fitted = _fitted(grid.make, value, layer, splits, drawn, metric, seed)
            if best is None or float(np.mean(fitted.on_dev)) > best[0]:
                best = (float(np.mean(fitted.on_dev)), layer, value, fitted)
    assert best is not None
    _, layer, value, fitted = best
    clusters = classified_clusters(test.labels, test.clusters)
    found: dict[str, list[Estimate]] = defaultdict(list)
    for predicted in fitted.predicted:
        for which, estimate in classification_estimates(test.labels, predicted, clusters).items():
            found[which].append(estimate)
    metrics = {which: metric_of(mean_of(each), clusters) for which, each in found.items()}
    return ShotResult(name, shots, layer, grid.setting, value, metrics, [each.value for each in found[metric]])


def _fitted(
    make: Any,
    value: float,
    layer: int,
    splits: Mapping[str, Functionals],
    drawn: Sequence[Ints],
    metric: str,
    seed: int,
) -> _Fitted:
    train, dev = splits["train"], splits["dev"]
    made = _Fitted([], [])
    for places in drawn:
        few = train.layers[layer][places]
        scaling, model = Scaling.of(few), make(value, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few items some settings do not converge, and dev does not choose them
            model.fit(scaling.scaled(few), [train.labels[place] for place in places])
        on_dev, on_test = (
            [str(label) for label in model.predict(scaling.scaled(splits[split].layers[layer]))]
            for split in ("dev", "test")
        )
        made.on_dev.append(classification_metrics(dev.labels, on_dev, dev.clusters)[metric].value)
        made.predicted.append(on_test)
    return made


def shots_as_json(found: Sequence[ShotResult]) -> list[dict[str, Any]]:
    """What probes.json says of few examples."""
    return [
        {
            "probe": row.probe,
            "shots": row.shots,
            "layer": row.layer,
            row.setting: row.value,
            "test": metrics_as_json(row.test),
            "draws": row.draws,
        }
        for row in found
    ]


def shots_markdown(found: Sequence[ShotResult], metric: str) -> str:
    """A table with a line for each number of examples and a column for each probe."""
    probes = list(dict.fromkeys(row.probe for row in found))
    lines = [["examples", *(f"{probe}: {with_unit(metric)}" for probe in probes)], ["---:"] * (len(probes) + 1)]
    for shots in dict.fromkeys(row.shots for row in found):
        cells = [str(shots)]
        for probe in probes:
            row = next(row for row in found if (row.probe, row.shots) == (probe, shots))
            spread = written(metric, float(np.std(row.draws, ddof=1))) if len(row.draws) > 1 else "-"
            interval = interval_written(metric, row.test[metric])
            figure = f"{written(metric, row.test[metric].value)} {interval}".strip()
            cells.append(f"{figure} ± {spread} (layer {row.layer}, {row.setting}={row.value:g})")
        lines.append(cells)
    count = len(found[0].draws)
    note = f"Means of {count} draws; ±: deviation over draws. {intervals_note({metric: found[0].test[metric]})}"
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", note.strip()])


def draw_shots(found: Sequence[ShotResult], metric: str, path: Path, *, chance: float) -> None:
    """Draw the test metric over the number of examples, a curve with intervals for each probe.

    found: the results.
    metric: the one that is shown.
    path: of the picture.
    chance: what guessing would give, a dotted line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.0))
    axes = figure.add_subplot()
    for probe in dict.fromkeys(row.probe for row in found):
        rows = sorted((row for row in found if row.probe == probe), key=lambda row: row.shots)
        values = np.array([row.test[metric].value for row in rows])
        ends = np.array(
            [
                [row.test[metric].low or value, row.test[metric].high or value]
                for row, value in zip(rows, values, strict=True)
            ]
        )
        errors = np.abs(ends.T - values)
        axes.errorbar(
            [row.shots for row in rows], values, yerr=errors, marker="o", markersize=4, capsize=2, label=probe
        )
    axes.axhline(chance, color="grey", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    ticks = sorted({row.shots for row in found})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training items of each class")
    axes.set_ylabel(f"{metric} on test, 95 % interval")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path, dpi=120, bbox_inches="tight")
