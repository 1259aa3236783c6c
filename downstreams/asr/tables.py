"""What the report shows in words: the worst utterances with their alignment, and what was taken for what."""

from __future__ import annotations

from collections.abc import Sequence

from audiossl.core.types import Cell, Table
from audiossl.metrics.error_rate import align_tokens, most_frequent
from audiossl.training.task import Prediction

_NUM_WORST = 20
_NUM_CONFUSIONS = 25


def error_tables(predictions: Sequence[Prediction], unit: str) -> list[Table]:
    """Tables of the items that have a target. unit: 'word' or 'phone'."""
    known = [row for row in predictions if row["target"] is not None]
    wrong = sorted((row for row in known if row["num_errors"]), key=lambda row: (-row["num_errors"], row["id"]))
    aligned = {row["id"]: align_tokens(row["target"].split(), row["predicted"].split()) for row in known}
    worst = Table(
        f"Utterances with the most {unit} errors",
        ["item", "errors", f"{unit}s", "reference and recognised", "sound"],
        [_worst_row(row, aligned[row["id"]]) for row in wrong[:_NUM_WORST]],
        f"{len(wrong)} of {len(known)} utterances have an error.",
    )
    pairs = most_frequent((pair for row in known for pair in aligned[row["id"]]), _NUM_CONFUSIONS)
    confusions = Table(
        f"Most frequent {unit} errors",
        ["reference", "recognised", "times"],
        [[reference or "(inserted)", recognised or "(deleted)", count] for reference, recognised, count in pairs],
        "Of alignments with the fewest edits, one is taken.",
    )
    return [table for table in (worst, confusions) if table.rows]


def _worst_row(row: Prediction, aligned: list[tuple[str, str]]) -> list[Cell]:
    place = row.get("audio")
    sound: Cell = None
    if place:
        sound = {"audio": place["path"], "start_s": place["start_s"], "duration_s": place["duration_s"]}
    words: Cell = {"words": [list(pair) for pair in aligned]}
    return [row["id"], row["num_errors"], row["num_units"], words, sound]
