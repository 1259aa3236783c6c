"""One label for a call: species, type of call or individual (settings: default, infant_marmosets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.types import Cell, Table
from audiossl.data.fields import read_field
from audiossl.data.leaks import recording_name
from audiossl.downstreams.utterance_classification.task import UtteranceClassification, UtteranceClassificationConfig
from audiossl.encoders.upstream import Upstream
from audiossl.nn.mlp import make_classifier
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction


@dataclass(frozen=True)
class BioacousticsConfig(UtteranceClassificationConfig):
    """Head and label as in utterance classification."""

    group_field: str = "recording"
    """What varies as a whole, as calls of one recording are not independent: 'recording' (the column of that name,
    else the sound file), 'speaker' for the individual, or any other field."""


class Bioacoustics(UtteranceClassification):
    """The head of utterance classification. Classes weigh alike in the metric that chooses the checkpoint."""

    Config = BioacousticsConfig
    monitor = Monitor("uar", "max")

    def __init__(self, upstream: Upstream, interface: Interface, config: BioacousticsConfig) -> None:
        super().__init__(upstream, interface, config)
        self.group_field = config.group_field
        self.classifier = make_classifier(self.pooling.out_width, config.hidden, len(config.labels))

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """Recall, precision and number of items of each class, and what the probabilities are worth."""
        known = [row for row in predictions if row["target"] is not None]
        rows: list[list[Cell]] = []
        for label in self.config.labels:
            mine = [row["predicted"] for row in known if row["target"] == label]
            guessed = [row["target"] for row in known if row["predicted"] == label]
            hits = mine.count(label)
            recall = round(hits / len(mine), 4) if mine else None
            rows.append([label, len(mine), recall, round(hits / len(guessed), 4) if guessed else None])
        absent = [str(row[0]) for row in rows if not row[1]]
        note = f"Not among the targets, so not in UAR: {', '.join(absent)}." if absent else ""
        classes = Table("Classes", ["label", "items", "recall", "precision"], rows, note)
        return [classes, *super().tables(predictions)] if known else []

    def _prediction(self, cut: Cut, logits: Tensor) -> dict[str, Any]:
        row = super()._prediction(cut, logits)
        return {**row, "group": group_of(cut, self.group_field)}


def group_of(cut: Cut, field: str) -> str | None:
    """What an item varies with."""
    return recording_name(cut) if field == "recording" else read_field(cut, field)
