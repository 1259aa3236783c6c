"""A label for every frame by a linear layer, or one with a hidden layer before it, as TERA's phoneme classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import CountOrZero, Share, ShareBelowOne
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import read_field
from audiossl.data.frame_labels import IGNORED, first_centre_s
from audiossl.data.label_source import LabelSource
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.classification import classification_metrics, confusion_matrix
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.frame_labels import FRAME_ERRORS
from audiossl.training.downstream import Downstream
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction

_STEP_S = 0.01  # between the moments of a row by which its labels are looked at before training

Runs = Sequence[tuple[int, str | None]]


@dataclass(frozen=True)
class FrameClassificationConfig:
    """Where labels are, which count, and the head."""

    alignment: str = ""
    """A CTM file (`phones.ctm`), a TextGrid or a folder of them, or an annotation table of the recordings, or the name
    of a tier of the manifest's alignments or of its frame labels. Empty for the manifest's own supervisions, each from
    its start to its end."""
    label_field: str = "label"
    """The column of a supervision that is its label, where `alignment` is empty. Of TextGrids the tier."""
    ignored: list[str] = field(default_factory=list)
    """Labels that neither train nor count, such as silence."""
    min_coverage: Share = 0.5
    """Least share of a row that must have a label, ignored ones too. An alignment of less is an error."""
    hidden: CountOrZero = 0
    """Units of a hidden layer with ReLU before the linear one. 0 for the linear one alone."""
    dropout: ShareBelowOne = 0.0
    """Of what the linear layer reads."""
    labels: list[str] = field(default_factory=list)
    """The classes, filled in from the training rows."""


class FrameClassification(Downstream):
    """Cross entropy of the label at each frame's centre, over all frames that have one.

    The label of a frame depends on nothing but time, so that encoders of any rate are judged by the same alignments.
    """

    Config = FrameClassificationConfig
    monitor = Monitor("accuracy", "max")
    group_field = "speaker"

    def __init__(self, upstream: Upstream, interface: Interface, config: FrameClassificationConfig) -> None:
        super().__init__(upstream, interface)
        if upstream.one_frame:
            raise ConfigError(
                f"{upstream.display_name} gives one frame for a whole recording, and this task has a label for every "
                f"frame; choose an encoder with frames, or utterance_classification."
            )
        self.config = config
        self.source = LabelSource(config.alignment, config.label_field)
        self.index = {label: number for number, label in enumerate(config.labels)}
        self.hidden = nn.Linear(interface.width, config.hidden) if config.hidden else None
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden or interface.width, len(config.labels))
        self.first_s, self.step_s = first_centre_s(upstream), upstream.stride / upstream.sample_rate_hz

    @classmethod
    def complete(cls, config: FrameClassificationConfig, cuts: Iterable[Cut]) -> FrameClassificationConfig:
        """Fill in the classes. Raises LabelError for fewer than two, and for rows without an alignment."""
        source = LabelSource(config.alignment, config.label_field)
        found: set[str] = set()
        for cut in cuts:
            found |= {label for label in source.labels_at(cut, _moments(cut), "training") if label is not None}
        labels = sorted(found - set(config.ignored))
        if len(labels) < 2:
            raise LabelError(
                f"The training rows have {len(labels)} label(s) that count ({', '.join(labels) or 'none'}), and two "
                f"are the least to tell apart; check task.alignment and task.ignored."
            )
        return replace(config, labels=labels)

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for a row without an alignment, or one of little of it, and for labels never trained on."""
        for cut in cuts:
            self.source.check(cut, where)
            found = self.source.labels_at(cut, _moments(cut), where)
            share = sum(label is not None for label in found) / len(found)
            if share < self.config.min_coverage:
                raise LabelError(
                    f"The labels of row {cut.id} of {where} cover {100 * share:.0f} % of its {cut.duration:g} s, less "
                    f"than task.min_coverage={self.config.min_coverage:g}; align it again, or lower that."
                )
            unseen = {label for label in found if label is not None} - {*self.index, *self.config.ignored}
            if unseen:
                raise LabelError(
                    f"Row {cut.id} of {where} has the label {min(unseen)!r}, which no training row has; add some, or "
                    f"put it in task.ignored."
                )

    @property
    def stackable(self) -> bool:
        return self.config.dropout == 0

    def classify(self, sequence: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, C)."""
        sequence = sequence.to(self.classifier.weight.dtype)
        if self.hidden is not None:
            sequence = self.hidden(sequence).relu()
        logits: Tensor = self.classifier(self.dropout(sequence))
        return logits.float()

    def loss(self, batch: Batch) -> Loss:
        """Cross entropy, a mean over the frames with a label. Logs the accuracy."""
        sequence, lengths = self.sequence(batch)
        logits = self.classify(sequence)
        targets = self._targets(batch.cuts, lengths, logits.shape[1]).to(logits.device)
        counted = (targets != IGNORED).sum()
        total = nn.functional.cross_entropy(
            logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="sum"
        ) / counted.clamp(min=1)
        correct = (logits.detach().argmax(dim=-1) == targets).sum() / counted.clamp(min=1)
        return Loss(total, counted.float(), {"accuracy": correct})

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """`logits` (B, T, C)."""
        return {"logits": self.classify(sequence)}

    def output_facts(self) -> dict[str, Any]:
        return {"labels": list(self.config.labels), "first_s": self.first_s, "step_s": self.step_s}

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, predicted and target as runs [frames, label], when frames are (first_s, step_s), speaker, duration_s.

        With a target also num_errors among num_units frames that count.

        A run without a label that counts has null. `target` is null for an item without an alignment.
        """
        with torch.no_grad():
            sequence, lengths = self.sequence(batch)
            best = self.classify(sequence).argmax(dim=-1).cpu()
        return [
            self._prediction(cut, row[:count].tolist())
            for cut, row, count in zip(batch.cuts, best, lengths.tolist(), strict=True)
        ]

    def revise(self, predictions: Sequence[Prediction]) -> Sequence[Prediction]:
        """With the wrong frames of each row, by which runs are compared."""
        return [_counted(row) for row in predictions]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """accuracy, uar and f1 over all frames with a label that counts. Intervals are over speakers."""
        targets, predicted, rows = _frames_of(predictions)
        if not targets:
            raise LabelError(f"None of the {len(predictions)} predictions has a target, so there is nothing to score.")
        clusters = clusters_of_rows(predictions, self.group_field)
        _, places = np.unique(clusters.of[rows], return_inverse=True)  # a row may have no frame that counts
        return classification_metrics(targets, predicted, clusters._replace(of=places.astype(np.int64)))

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        targets, predicted, _ = _frames_of(predictions)
        labels = list(self.config.labels)
        counts = confusion_matrix(targets, predicted, labels)
        return {"labels": labels, "frames": len(targets), "confusion": counts.tolist(), "step_s": self.step_s}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """Recall of each label, and what it is taken for most."""
        targets, predicted, _ = _frames_of(predictions)
        pairs = Counter(zip(targets, predicted, strict=True))
        rows: list[list[Any]] = []
        for label, number in Counter(targets).most_common():
            wrong = Counter({guess: count for (truth, guess), count in pairs.items() if truth == label != guess})
            confused = ", ".join(f"{guess} ({count / number:.0%})" for guess, count in wrong.most_common(3))
            rows.append([label, number, f"{pairs[label, label] / number:.1%}", confused])
        return [Table("Labels", ["label", "frames", "recall", "taken for"], rows, "")] if rows else []

    def columns(self, prediction: Prediction) -> dict[str, str]:
        runs = prediction["predicted"]
        shown = " ".join(str(label) for _, label in runs[:12])
        return {"labels": shown + (f" and {len(runs) - 12} more" if len(runs) > 12 else "")}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.utterance_classification.figures import draw_confusion

        targets, predicted, _ = _frames_of(predictions)
        if not targets:
            return {}
        draw_confusion(targets, predicted, self.config.labels, folder / "confusion.png")
        return {"Confusion matrix": folder / "confusion.png"}

    def _targets(self, cuts: Sequence[Cut], lengths: Tensor, num_frames: int) -> Tensor:
        """(B, T) numbers of classes, `IGNORED` where none counts."""
        made = torch.full((len(cuts), num_frames), IGNORED, dtype=torch.int64)
        for cut, row, count in zip(cuts, made, lengths.tolist(), strict=True):
            labels = self.source.labels_at(cut, self._centres(count), "training")
            row[:count] = torch.tensor([self.index.get(label or "", IGNORED) for label in labels])
        return made

    def _centres(self, count: int) -> np.ndarray:
        return self.first_s + np.arange(count) * self.step_s

    def _prediction(self, cut: Cut, best: Sequence[int]) -> Prediction:
        target = None
        if self.source.has(cut):
            labels = self.source.labels_at(cut, self._centres(len(best)))
            target = _runs([label if label in self.index else None for label in labels])
        row: Prediction = {
            "id": cut.id,
            "target": target,
            "predicted": _runs([self.config.labels[number] for number in best]),
            "first_s": self.first_s,
            "step_s": self.step_s,
            "speaker": read_field(cut, "speaker"),
            "duration_s": round(float(cut.duration), 4),
        }
        return _counted(row)


def _counted(row: Prediction) -> Prediction:
    """The row with how many of its frames count (`num_units`) and how many of these are wrong (`num_errors`)."""
    if row["target"] is None:
        return row
    targets, predicted, _ = _frames_of([row])
    wrong = sum(truth != guess for truth, guess in zip(targets, predicted, strict=True))
    return {**row, "num_errors": wrong, "num_units": len(targets), "measure": FRAME_ERRORS}


def _moments(cut: Cut) -> np.ndarray:
    """Seconds at which a row's labels are looked at, at least one."""
    return np.arange(_STEP_S / 2, max(cut.duration, _STEP_S), _STEP_S)


def _runs(labels: Sequence[str | None]) -> list[list[Any]]:
    return [[len(list(run)), label] for label, run in groupby(labels)]


def _frames_of(predictions: Sequence[Prediction]) -> tuple[list[str], list[str], np.ndarray]:
    """Target and prediction of all frames that count, and the number of the row that each is of."""
    targets: list[str] = []
    predicted: list[str] = []
    rows: list[int] = []
    for number, row in enumerate(predictions):
        if row["target"] is None:
            continue
        for truth, guess in zip(_expanded(row["target"]), _expanded(row["predicted"]), strict=True):
            if truth is not None and guess is not None:
                targets.append(truth)
                predicted.append(guess)
                rows.append(number)
    return targets, predicted, np.array(rows, dtype=np.int64)


def _expanded(runs: Runs) -> list[str | None]:
    return [label for count, label in runs for _ in range(count)]
