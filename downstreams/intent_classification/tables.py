"""What the report shows of intents: which were taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from audiossl.core.types import Cell, Table
from audiossl.training.task import Prediction

_NUM_CONFUSIONS = 25


def confused_table(rows: Sequence[Prediction], slots: Sequence[str]) -> list[Table]:
    """The most frequent confusions of intents, if there are any.

    rows: predictions with a target.
    slots: the names of the slots in their order.
    """
    wrong = [row for row in rows if row["target"] != row["predicted"]]
    pairs = Counter((_written(row["target"], slots), _written(row["predicted"], slots)) for row in wrong)
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_NUM_CONFUSIONS]
    if not ranked:
        return []
    lines: list[list[Cell]] = [[true, said, count] for (true, said), count in ranked]
    note = f"{len(wrong)} of {len(rows)} utterances are wrong in a slot. Slots: {', '.join(slots)}."
    return [Table("Intents that were taken for others", ["intent", "predicted", "times"], lines, note)]


def _written(values: Mapping[str, str], slots: Sequence[str]) -> str:
    return " | ".join(values[slot] for slot in slots)
