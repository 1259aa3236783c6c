"""What the report says of a search in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from audiossl.core.types import Table
from audiossl.downstreams.query_by_example.choosing import Choice
from audiossl.training.task import Prediction

_SHOWN = 5


def layers_table(values: Sequence[Sequence[float]], names: Sequence[str], choice: Choice | None) -> list[Table]:
    """MTWV on dev by layer and normalisation. Nothing where none was chosen.

    values: (L, N), NaN where nothing was tried.
    names: of the N normalisations.
    choice: what was chosen.
    """
    if choice is None:
        return []
    tried = [place for place in range(len(names)) if any(row[place] == row[place] for row in values)]
    rows: list[list[Any]] = [
        [f"{layer} (chosen)" if layer == choice.layer else str(layer), *(f"{row[place]:.4f}" for place in tried)]
        for layer, row in enumerate(values)
        if any(row[place] == row[place] for place in tried)
    ]
    note = f"The layer and the normalisation ({choice.normalization}) with the highest are chosen: not held out."
    return [Table("MTWV on dev by layer", ["layer", *(f"scores: {names[place]}" for place in tried)], rows, note)]


def queries_table(rows: Sequence[Prediction], min_frames: int) -> Table:
    """By term: its queries, the documents with it, the share of them that are found, and how many of the others are."""
    by_term: dict[str, list[Prediction]] = defaultdict(list)
    for row in rows:
        by_term[row["term"]].append(row)
    made: list[list[Any]] = []
    for term, mine in sorted(by_term.items()):
        detected = [set(row["predicted"]) for row in mine]
        targets = [set(row["target"] or ()) for row in mine]
        hits = sum(len(found & target) for found, target in zip(detected, targets, strict=True))
        alarms = np.mean([len(found - target) for found, target in zip(detected, targets, strict=True)])
        total = sum(map(len, targets))
        short = sum(row["num_frames"] < min_frames for row in mine)
        share = f"{hits / total:.0%}" if total else "-"
        made.append([term, len(mine), len(targets[0]), share, f"{alarms:.2f}", short or ""])
    header = ["term", "queries", "documents with it", "found", "false alarms a query", "too short"]
    return Table("Terms", header, made, "At the threshold that dev chose.")


def hits_of(row: Prediction) -> str:
    """The documents in which a query was found with their scores, the surest first."""
    found = sorted(row["predicted"], key=lambda name: (-row["scores"][name], name))
    shown = ", ".join(f"{name.rpartition('/')[2]} ({row['scores'][name]:.2f})" for name in found[:_SHOWN])
    return shown + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
