"""Emotion recognition: the head of utterance classification, with the metrics of the field.

WA, the weighted accuracy, is the share of utterances that are right: classes weigh as much as they have utterances. UA,
the unweighted one, is the mean recall of the classes (Schuller et al., INTERSPEECH 2009 emotion challenge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from audiossl.core.types import Cell, Metric, Table
from audiossl.downstreams.utterance_classification.task import UtteranceClassification, UtteranceClassificationConfig
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.classification import classification_metrics
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction


@dataclass(frozen=True)
class EmotionConfig(UtteranceClassificationConfig):
    """Head and label as in utterance classification."""

    monitor: Literal["ua", "wa", "f1"] = "ua"
    """Metric on dev by which checkpoints are chosen. 'ua' cannot be won by naming the most frequent emotion, 'wa' is
    what published protocols choose by."""


class Emotion(UtteranceClassification):
    """One emotion for an utterance."""

    Config = EmotionConfig
    monitor = Monitor("ua", "max")
    metric_names: ClassVar[dict[str, str]] = {"uar": "ua", "accuracy": "wa", "f1": "f1"}

    def __init__(self, upstream: Upstream, interface: Interface, config: EmotionConfig) -> None:
        super().__init__(upstream, interface, config)
        self.monitor = Monitor(config.monitor, "max")

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """ua, wa and f1 (macro) over the utterances that have a target, with intervals over speakers."""
        found = super().score(predictions)
        return {name: found[known] for known, name in self.metric_names.items()}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """Recall of each emotion, figures of each speaker, the worst first, and what the probabilities are worth."""
        known = [row for row in predictions if row["target"] is not None]
        found = [_by_emotion(known, self.config.labels), _by_speaker(known), *super().tables(predictions)]
        return [table for table in found if table.rows]


def _by_emotion(rows: Sequence[Prediction], labels: Sequence[str]) -> Table:
    """How often each emotion is found, and what it is taken for."""
    lines: list[list[Cell]] = []
    for label in labels:
        guesses = [row["predicted"] for row in rows if row["target"] == label]
        others = [guess for guess in guesses if guess != label]
        if guesses:
            named = sum(row["predicted"] == label for row in rows)
            mistaken = max(sorted(set(others)), key=others.count) if others else ""
            right = len(guesses) - len(others)
            precision = f"{100 * right / named:.1f}" if named else None
            lines.append([label, len(guesses), f"{100 * right / len(guesses):.1f}", precision, mistaken])
    header = ["emotion", "utterances", "recall (%)", "precision (%)", "most often taken for"]
    return Table("Emotions", header, lines)


def _by_speaker(rows: Sequence[Prediction]) -> Table:
    """UA and WA of each speaker: how much the result owes to whom it is measured on."""
    groups: dict[str, list[Prediction]] = {}
    for row in rows:
        if row.get("speaker") is not None:
            groups.setdefault(str(row["speaker"]), []).append(row)
    found = []
    for speaker, members in groups.items():
        metrics = classification_metrics([row["target"] for row in members], [row["predicted"] for row in members])
        found.append((metrics["uar"].value, metrics["accuracy"].value, speaker, len(members)))
    lines: list[list[Cell]] = [
        [speaker, size, f"{100 * ua:.1f}", f"{100 * wa:.1f}"] for ua, wa, speaker, size in sorted(found)
    ]
    return Table("Speakers", ["speaker", "utterances", "ua (%)", "wa (%)"], lines)
