"""What slots that were recognised are worth: what of slot filling needs no encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiossl.core.errors import LabelError
from audiossl.core.types import Cell, Metric, Table
from audiossl.downstreams.asr.transcripts import TranscriptJudge
from audiossl.downstreams.slot_filling.marks import plain_words, slots_in
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.error_rate import count_edits
from audiossl.metrics.slots import Slot, slot_hits, slot_metrics, type_f1
from audiossl.training.task import Monitor, Prediction

MEASURE = "slot type errors"  # what rows count as `num_errors`


class SlotJudge(TranscriptJudge):
    """Metrics and tables of texts with slots. Words are judged without the ends of slots."""

    @property
    def monitor(self) -> Monitor:
        return Monitor("slot_type_f1", "max")

    def counted(self, row: Prediction) -> Prediction:
        """A prediction counts by 1 - slot type F1."""
        if row["target"] is None:
            return row
        target, found = (slots_in(row[name].split()) for name in ("target", "predicted"))
        return {**row, "num_errors": round(1 - type_f1(target, found), 6), "num_units": 1, "measure": MEASURE}

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """slot_type_f1, slot_value_cer, slot_f1 and slot_edit_f1, and wer and cer of the words beside."""
        known = [row for row in predictions if row["target"] is not None]
        if not known:
            raise LabelError(f"None of the {len(predictions)} predictions has a target, so there is nothing to score.")
        targets, found = ([slots_in(row[name].split()) for row in known] for name in ("target", "predicted"))
        words = super().score([_unmarked(row) for row in known])
        return {**slot_metrics(targets, found, clusters_of_rows(known)), **words}

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        return super().facts([_unmarked(row) for row in predictions])

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """Each type of slot, and the utterances whose words are the worst."""
        return [types_table(predictions), *super().tables([_edited(row) for row in predictions])]


def types_table(predictions: Sequence[Prediction]) -> Table:
    """A line for each type of slot: how often it is said and found, and how often its value is right."""
    known = [row for row in predictions if row["target"] is not None]
    pairs = [(slots_in(row["target"].split()), slots_in(row["predicted"].split())) for row in known]
    lines: list[list[Cell]] = []
    for name in sorted({slot.type for pair in pairs for slots in pair for slot in slots}):
        ours = [(_of(name, target), _of(name, found)) for target, found in pairs]
        hits = [slot_hits(*pair) for pair in ours]
        there = sum(bool(target) for target, _ in ours)
        both = sum(bool(target and found) for target, found in ours)
        false = sum(bool(found) and not target for target, found in ours)
        lines.append([name, sum(each.num_true for each in hits), there, both, false, sum(each[0] for each in hits)])
    header = ["slot", "values", "utterances", "of these found", "false", "values that are right"]
    return Table("Slots by type", header, lines, "A value is right where all its characters are.")


def _of(name: str, slots: Sequence[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.type == name]


def _unmarked(row: Prediction) -> Prediction:
    """The row without the ends of slots, with the edits of its words."""
    if row["target"] is None:
        return row
    return _edited({**row, **{name: " ".join(plain_words(row[name].split())) for name in ("target", "predicted")}})


def _edited(row: Prediction) -> Prediction:
    """The row with the edits of its text, where it has a target."""
    if row["target"] is None:
        return row
    edits = count_edits(row["target"].split(), row["predicted"].split())
    return {**row, "num_errors": edits.num_errors, **edits._asdict()}
