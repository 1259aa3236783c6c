"""What stored predictions say of the classes, and of the recordings with the most errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audiossl.core.types import Cell, Table
from audiossl.metrics.sound_events import EventCounts
from audiossl.training.task import Prediction

_WORST = 10


def class_table(rows: Sequence[Prediction], labels: Sequence[str], facts: Mapping[str, Any]) -> Table:
    """The table of the classes.

    rows: with counts.
    labels: the C classes.
    facts: of the evaluation.
    """
    totals = np.array([row["counts"] for row in rows], dtype=np.int64).sum(axis=0)
    lines: list[list[Cell]] = []
    for label, total in zip(labels, totals.tolist(), strict=True):
        counts = EventCounts(*total)
        decided = [_share(counts.overlap_hits, counts.num_found), _share(counts.overlap_hits, counts.num_true)]
        f1 = [round(counts.f1(kind), 4) if counts.num_true else None for kind in ("overlap", "onset", "segment")]
        line: list[Cell] = [label, counts.num_true, counts.num_found, *f1, *decided]
        if (rule := (facts["rules"] or {}).get(label)) is not None:
            line += [float(f"{value:.3g}") for value in list(rule.values())[:4]]
        lines.append(line)
    header = ["label", "events", "found", "F1 by overlap", "by onset", "by segment", "precision", "recall"]
    header += ["threshold", "median s", "gap s", "shortest s"] if facts["rules"] else []
    return Table("Classes", header, lines, _note(facts))


def worst_table(rows: Sequence[Prediction]) -> Table:
    """The recordings with the most errors. rows: with counts."""
    ranked = sorted(rows, key=lambda row: (-row["num_errors"], row["id"]))[:_WORST]
    lines: list[list[Cell]] = []
    for row in ranked:
        true, found, hits = row["num_units"], len(row["predicted"]), _hits(row)
        lines.append([row["id"], true, found, true - hits, found - hits])
    return Table("Recordings with the most errors", ["recording", "events", "found", "missed", "false alarms"], lines)


def _hits(row: Prediction) -> int:
    return int(np.array(row["counts"])[:, EventCounts._fields.index("overlap_hits")].sum())


def _share(hits: int, of: int) -> float | None:
    return round(hits / of, 4) if of else None


def _note(facts: Mapping[str, Any]) -> str:
    parts = [f"Scored: {facts['scoring']}. Precision and recall are by overlap."]
    if facts["labels_left_out"]:
        parts.append(f"No event of {', '.join(facts['labels_left_out'])}: left out of the means.")
    if facts["undecided"]:
        parts.append(f"Dev could not choose how {', '.join(facts['undecided'])} is decided.")
    return " ".join(parts)
