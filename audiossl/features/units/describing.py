"""What units are worth: how evenly they are used, how long they last, and how well they agree with labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.core.types import Metric, metrics_as_json
from audiossl.data.ctm import CtmAlignment
from audiossl.data.unit_files import UnitRow
from audiossl.metrics.clusters import Clusters, Floats, clusters_of
from audiossl.metrics.units import score_units


@dataclass(frozen=True)
class UnitStats:
    """Figures of the units of some recordings.

    metrics: with intervals over recordings or speakers. Those of agreement are there where labels are.
    num_recordings: that were counted.
    num_frames: that were counted.
    num_labelled: frames with a label, of which agreement is. None without labels.
    num_labels: how many different ones.
    num_units: K.
    run_s: mean seconds of a run of equal units.
    bits_per_s: of de-duplicated units, at their entropy.
    """

    metrics: dict[str, Metric]
    num_recordings: int
    num_frames: int
    num_labelled: int | None
    num_labels: int | None
    num_units: int
    run_s: float
    bits_per_s: float

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        others = {name: value for name, value in vars(self).items() if name != "metrics"}
        return {**others, "metrics": metrics_as_json(self.metrics)}


def describe_units(
    rows: Iterable[UnitRow],
    alignments: Mapping[str, CtmAlignment] | None = None,
    *,
    ignored: Collection[str] = (),
    groups: Mapping[str, str | None] | None = None,
    kind: str = "recording",
) -> UnitStats:
    """Count units, and compare those of labelled frames with their labels.

    rows: the units of recordings.
    alignments: labels by the ids of the rows. Where they are given, rows without any are left out.
    ignored: labels that do not count, for instance silence.
    groups: what varies as a whole by the ids of the rows. None for each row.
    kind: what such a group is.
    Raises LabelError where no row, or no frame, has a label.
    """
    every = list(rows)
    counted = [row for row in every if alignments is None or row.id in alignments]
    if not counted:
        first = f", nor the first row, {every[0].id}" if every else ""
        whose = next(iter(alignments or {}), "nobody")
        raise LabelError(f"No row has a label{first}: the first label is of {whose}; name both by the ids of the rows.")
    clusters = _clusters(counted, groups, kind)
    facts = counted[0].facts
    if alignments is None:
        counts = np.zeros((clusters.num, facts.num_units))
        for row, cluster in zip(counted, clusters.of, strict=True):
            counts[cluster] += np.bincount(row.units, minlength=facts.num_units)
        num_labels = None
    else:
        counts, names = _counts(counted, alignments, ignored, clusters)
        num_labels = len(names)
    metrics = score_units(counts, clusters)
    lengths = np.concatenate([row.runs()[1] for row in counted])
    run_units = np.bincount(np.concatenate([row.runs()[0] for row in counted]))
    shares = run_units[run_units > 0] / run_units.sum()
    run_s = float(lengths.mean()) / facts.rate_hz
    return UnitStats(
        metrics=metrics,
        num_recordings=len(counted),
        num_frames=int(lengths.sum()),
        num_labelled=None if alignments is None else int(counts.sum()),
        num_labels=num_labels,
        num_units=facts.num_units,
        run_s=run_s,
        bits_per_s=float(-(shares * np.log2(shares)).sum() / run_s),
    )


def _clusters(rows: Sequence[UnitRow], groups: Mapping[str, str | None] | None, kind: str) -> Clusters:
    names = [row.id for row in rows]
    if groups is None:
        each = Clusters(np.arange(len(names), dtype=np.int64), kind)
    else:
        each = clusters_of([groups.get(name) for name in names], len(names), kind, names)
    few = each.merged()
    if few.num == each.num:
        return each
    return few._replace(remark="; ".join(filter(None, [f"{each.num} {kind}s in {few.num} random groups", each.remark])))


def _counts(
    rows: Sequence[UnitRow], alignments: Mapping[str, CtmAlignment], ignored: Collection[str], clusters: Clusters
) -> tuple[Floats, list[str]]:
    """Frames (G, P, K) by cluster, label and unit, and the P labels. The label of a frame is that at its centre."""
    found = [_labels_of(row, alignments[row.id], ignored) for row in rows]
    names = sorted({label for labels in found for label in labels if label is not None})
    if not names:
        raise LabelError(f"No frame of the {len(rows)} rows has a label; compare the times of labels and recordings.")
    number = {name: place for place, name in enumerate(names)}
    counts = np.zeros((clusters.num, len(names), rows[0].facts.num_units))
    for row, labels, cluster in zip(rows, found, clusters.of, strict=True):
        known = np.array([label is not None for label in labels])
        numbers = np.array([number[label] for label in labels if label is not None], dtype=np.int64)
        np.add.at(counts[cluster], (numbers, row.units[known]), 1)
    return counts, names


def _labels_of(row: UnitRow, alignment: CtmAlignment, ignored: Collection[str]) -> list[str | None]:
    facts = row.facts
    first_s = 0.5 / facts.rate_hz if facts.centre_s is None else facts.centre_s
    labels = alignment.at(first_s + np.arange(len(row.units)) / facts.rate_hz)
    return [None if label in ignored else label for label in labels]
