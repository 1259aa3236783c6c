"""Slot filling by recognition, as in SUPERB's SF (arXiv:2105.01051): CTC on text in which slots are marked.

The text of an item says where each slot begins and ends, `play B-artist nina simone E-artist`. Both ends are units of
the recogniser, beside the letters or pieces of the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lhotse.cut import Cut

from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.fields import read_field
from audiossl.data.text import TextConfig, TextError, is_slot_end
from audiossl.downstreams.asr.task import Asr, AsrConfig
from audiossl.downstreams.slot_filling.judging import SlotJudge
from audiossl.downstreams.slot_filling.marks import check_marks, slots_in
from audiossl.encoders.upstream import Upstream
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction


@dataclass(frozen=True)
class SlotFillingConfig(AsrConfig):
    """As recognition, of text with slots."""

    text_field: str = "slots"
    """The column of the text with its slots, `play B-artist nina simone E-artist`, or 'text' for the transcript."""
    text: TextConfig = field(default_factory=lambda: TextConfig(slots=True))
    """Units, and the normalisation of transcripts. The ends of slots are units that nothing normalises."""


class SlotFilling(Asr):
    """The head of recognition, over the ends of slots as well."""

    Config = SlotFillingConfig
    Judge = SlotJudge
    monitor = Monitor("slot_type_f1", "max")

    def __init__(self, upstream: Upstream, interface: Interface, config: SlotFillingConfig) -> None:
        if config.decoding.method == "beam" and not config.decoding.is_free:
            raise ConfigError(
                "task.decoding of slot_filling searches in units, as a lexicon has no ends of slots; set "
                "task.decoding.lexicon=none, with a language model of units."
            )
        super().__init__(upstream, interface, config)
        if not any(is_slot_end(symbol) for symbol in config.text.symbols):
            raise ConfigError("task.text.symbols has no end of a slot, such as B-city and E-city; leave it empty.")

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """Fill in the units. Raises LabelError for a row whose slots are not well formed, and where there are none."""
        rows = list(cuts)
        config = replace(config, text=replace(config.text, slots=True))
        found = [_checked(cut, config.text_field, "training") for cut in rows]
        if any(found) or not any(read_field(cut, config.text_field) for cut in rows):
            return super().complete(config, rows)
        raise LabelError(
            f"None of the {len(rows)} rows of training has a slot in the field {config.text_field!r}; mark values as "
            f"in 'B-city new york E-city', or set task.text_field to the column that has them."
        )

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """As recognition. Also raises LabelError for slots that are not well formed."""
        rows = list(cuts)
        for cut in rows:
            _checked(cut, self.config.text_field, where)
        super().check_cuts(rows, where)

    def columns(self, prediction: Prediction) -> dict[str, str]:
        slots = slots_in(prediction["predicted"].split())
        return {"slots": "; ".join(f"{slot.type}={slot.value}" for slot in slots), **super().columns(prediction)}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        return {}


def _checked(cut: Cut, column: str, where: str) -> bool:
    """Whether a row has a slot. Raises LabelError that names it where its slots are not well formed."""
    words = (read_field(cut, column) or "").split()
    try:
        check_marks(words)
    except TextError as problem:
        raise LabelError(
            f"Item {cut.id!r} of {where} {problem} in its field {column!r}; correct it: 'B-city new york E-city'."
        ) from None
    return any(map(is_slot_end, words))
