"""Figures of probes on segments, with intervals: each layer, the layer that dev chose, groups, and differences.

The layer that dev chose is chosen in each test anew, by the part that chooses the penalty too, so that no test segment
has a say in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.segment_probes.fitting import Targets, ToldByLayer
from audiossl.analysis.segment_probes.folds import HeldOut
from audiossl.core.errors import LabelError
from audiossl.core.types import Metric, metrics_as_json
from audiossl.metrics.classification import classification_estimates, classification_metrics, classified_clusters
from audiossl.metrics.clusters import Clusters, clusters_of
from audiossl.metrics.jackknife import Difference, Estimate, difference_of
from audiossl.metrics.regression import regression_estimates, regression_metrics

MOST_VALUES = 12  # of a column whose values are shown apart


class Curve(NamedTuple):
    """What the layers of an encoder tell.

    encoder: as it was asked for.
    what: '' for the encoder itself, else which control it is.
    targets: (N,) what was to be told.
    layers: by number.
    """

    encoder: str
    what: str
    targets: Targets
    layers: dict[int, ToldByLayer]

    @property
    def title(self) -> str:
        return f"{self.encoder}, {self.what}" if self.what else self.encoder


class JudgedCurve(NamedTuple):
    """The figures of a curve.

    layers: metrics of each layer.
    chosen: of the layer that dev chose, test by test.
    picks: that layer in each test.
    told: (N,) what it said.
    """

    curve: Curve
    layers: dict[int, dict[str, Metric]]
    chosen: dict[str, Metric]
    picks: list[int]
    told: Targets

    def as_json(self) -> dict[str, Any]:
        rows = [
            {"layer": layer, "penalties": told.penalties, "dev": told.dev, "test": metrics_as_json(self.layers[layer])}
            for layer, told in self.curve.layers.items()
        ]
        chosen = {"layers": self.picks, "test": metrics_as_json(self.chosen)}
        return {"encoder": self.curve.encoder, "what": self.curve.what, "chosen_on_dev": chosen, "layers": rows}


def judge(curve: Curve, cells: Sequence[HeldOut], clusters: Clusters) -> JudgedCurve:
    """All figures of a curve.

    curve: what layers tell.
    cells: the tests.
    clusters: of the N segments.
    """
    layers = {layer: metrics_of(curve.targets, told.predicted, clusters) for layer, told in curve.layers.items()}
    numbers = sorted(curve.layers)
    told, picks = np.empty_like(curve.targets), []
    for place, cell in enumerate(cells):
        pick = max(numbers, key=lambda layer: (curve.layers[layer].dev[place], -layer))
        told[cell.test] = curve.layers[pick].predicted[cell.test]
        picks.append(pick)
    return JudgedCurve(curve, layers, metrics_of(curve.targets, told, clusters), picks, told)


def metrics_of(targets: Targets, predicted: Targets, clusters: Clusters) -> dict[str, Metric]:
    """Of numbers or classes (N,), with intervals."""
    if targets.dtype.kind == "f":
        return regression_metrics(targets, predicted, clusters)
    return classification_metrics(targets.tolist(), predicted.tolist(), clusters)


def difference(first: JudgedCurve, second: JudgedCurve, clusters: Clusters, metric: str) -> Difference:
    """A metric of the layers that dev chose, first minus second.

    first, second: of the same segments.
    clusters: of these.
    metric: its name.
    """
    ours, theirs = (_estimates(each.curve.targets, each.told, clusters) for each in (first, second))
    paired = (
        clusters
        if first.curve.targets.dtype.kind == "f"
        else classified_clusters(first.curve.targets.tolist(), clusters)
    )
    return difference_of(ours[metric], theirs[metric], paired)


def layer_zero(judged: JudgedCurve) -> JudgedCurve:
    """The same with layer 0 instead of the layer that dev chose."""
    told = judged.curve.layers[0].predicted
    return judged._replace(chosen=judged.layers[0], picks=[0] * len(judged.picks), told=told)


def apart(
    judged: JudgedCurve, values: Sequence[str], groups: Sequence[str | None], kind: str, column: str
) -> dict[str, tuple[int, dict[str, Metric]]]:
    """The number of segments and the figures of the chosen layer for each value of a column, with own intervals.

    judged: of all segments.
    values: (N,) of the column.
    groups: (N,) what intervals are over.
    kind: what such a group is.
    column: the column's name, for messages.
    Raises LabelError for a column of more than 12 values, which is a number and no group.
    """
    names = sorted(set(values))
    if len(names) > MOST_VALUES:
        raise LabelError(
            f"The column {column!r} has {len(names)} values, {names[0]} for instance; write a column of at most "
            f"{MOST_VALUES} groups, such as ranges of it."
        )
    found = {}
    for name in names:
        places = [place for place, value in enumerate(values) if value == name]
        own = clusters_of([groups[place] for place in places], len(places), kind)
        found[name] = (len(places), metrics_of(judged.curve.targets[places], judged.told[places], own))
    return found


def _estimates(targets: Targets, predicted: Targets, clusters: Clusters) -> Mapping[str, Estimate]:
    if targets.dtype.kind == "f":
        return regression_estimates(targets, predicted, clusters)
    return classification_estimates(
        targets.tolist(), predicted.tolist(), classified_clusters(targets.tolist(), clusters)
    )
