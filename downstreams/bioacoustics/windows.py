"""All labels that are heard in a window: one sigmoid a class, binary cross entropy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Range
from audiossl.core.types import Batch, Cell, Loss, Metric, Table
from audiossl.data.annotated import Windows
from audiossl.data.fields import read_field, read_labels
from audiossl.data.leaks import recording_name
from audiossl.data.loader import collate
from audiossl.downstreams.bioacoustics.events import events_of
from audiossl.downstreams.bioacoustics.task import classifier, group_of
from audiossl.downstreams.utterance_classification.task import UtteranceClassification, UtteranceClassificationConfig
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.multilabel import multilabel_metrics, per_class
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction

_AT_ONCE = 32  # windows of a long recording in a batch


@dataclass(frozen=True)
class BioacousticWindowsConfig(UtteranceClassificationConfig):
    """Head as in utterance classification, with several labels for an item."""

    label_field: str = "label"
    """Column that lists the labels of a window with `|` between them, or is empty where there is none."""
    class_weights: bool = False
    """Whether the windows with a class weigh as much as there are windows without it for each with it."""
    hidden: list[Count] = field(default_factory=list)
    """Widths of layers between the pooling and the classifier, each with layer norm and ReLU. Empty for a linear
    classifier."""
    group_field: str = "recording"
    """What varies as a whole, as calls of one recording are not independent: 'recording' (the column of that name,
    else the sound file), 'speaker' for the individual, or any other field."""
    threshold: Annotated[float, Range(above=0, below=1)] = 0.5
    """Score from which on a class counts as heard."""
    window_s: NonNegative = 0.0
    """Seconds of a window of a long recording. 0 for the longest window of the training data."""
    hop_s: NonNegative = 0.0
    """Seconds from one window to the next. 0 for half a window."""
    num_items: CountOrZero = 0
    """Windows in training. It is filled in from the training data."""

    def __post_init__(self) -> None:
        if self.window_s < 0 or not 0 <= self.hop_s <= (self.window_s or self.hop_s):
            raise ConfigError(
                f"task.window_s={self.window_s:g}, task.hop_s={self.hop_s:g}: neither may be negative, nor the hop "
                f"longer than the window."
            )


class BioacousticWindows(UtteranceClassification):
    """The head of utterance classification with a sigmoid for each class."""

    Config = BioacousticWindowsConfig
    monitor = Monitor("map", "max")
    fewest_labels: ClassVar[int] = 1  # a call or none
    config: BioacousticWindowsConfig

    def __init__(self, upstream: Upstream, interface: Interface, config: BioacousticWindowsConfig) -> None:
        super().__init__(upstream, interface, replace(config, class_weights=False))
        self.config = config
        self.group_field = config.group_field
        self.classifier = classifier(self.pooling.out_width, config.hidden, len(config.labels))
        self.class_weights = _positive_weights(config)

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """Fill labels, their counts and the length of a window from training. Raises LabelError without a label."""
        counts: Counter[str] = Counter()
        num_items, longest_s = 0, 0.0
        for cut in cuts:
            counts.update(read_labels(cut, config.label_field) or [])
            num_items, longest_s = num_items + 1, max(longest_s, cut.duration)
        # What the user has set stays. Windows without a call count as items, and add no label.
        labels = list(config.labels) or sorted(counts)
        if not labels:
            raise LabelError(
                f"No training window has a label in the field {config.label_field!r}; make the windows with "
                f"`audiossl data from-annotations`, or set task.label_field."
            )
        # Long recordings are later cut as those of training were.
        window_s = config.window_s or round(longest_s, 6)
        return replace(
            config,
            labels=labels,
            label_counts=[counts[label] for label in labels],
            num_items=num_items,
            window_s=window_s,
            hop_s=config.hop_s or round(window_s / 2, 6),
        )

    def check_labelled(self, cuts: Sequence[Cut], where: str) -> None:
        """A window without a label is one without a call: `labels_of` tells it from one that nobody has annotated."""

    def labels_of(self, cut: Cut, where: str) -> Sequence[str]:
        """What is heard in a window, nothing perhaps. Raises LabelError for one that nobody has annotated."""
        labels = read_labels(cut, self.config.label_field)
        if labels is None:
            raise LabelError(
                f"Item {cut.id!r} of {where} has no field {self.config.label_field!r}; a window in which nothing "
                f"is heard has an empty one: make the windows with `audiossl data from-annotations`."
            )
        return labels

    @property
    def longest_s(self) -> float | None:
        """What lasts longer than a window is predicted window by window."""
        return self.config.window_s + 1e-3 if self.config.window_s else None

    def loss(self, batch: Batch) -> Loss:
        """Binary cross entropy, a mean over windows and classes."""
        logits = self.logits(batch).float()
        targets = torch.zeros_like(logits)
        for row, cut in enumerate(batch.cuts):
            targets[row, [self.index[label] for label in self.labels_of(cut, "training")]] = 1.0
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits, targets, reduction="none", pos_weight=self.get_buffer("class_weights")
        )
        return Loss(losses.mean(), torch.tensor(float(len(batch)), device=logits.device))

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, target and predicted (lists of labels), scores (C), speaker, group, recording, start_s, end_s, calls."""
        return [self._prediction(cut, row) for cut, row in zip(batch.cuts, self.probabilities(batch), strict=True)]

    def predict_long(self, cut: Cut) -> Prediction:
        """A recording window by window: `windows` (start, end), `scores` (W, C) and `events` above the threshold.

        Times count from the beginning of the sound file.
        """
        inside = self.windows.spans(cut.duration)
        scores = np.concatenate([part.numpy() for part in self._long_scores(cut, inside)])
        spans = [(start + cut.start, end + cut.start) for start, end in inside]
        events = events_of(spans, scores.astype(np.float64), self.config.labels, self.config.threshold)
        return {
            "id": cut.id,
            "target": None,
            "predicted": sorted({event.label for event in events}),
            "recording": recording_name(cut),
            "duration_s": round(float(cut.duration), 4),
            "events": [list(event) for event in events],
            "windows": [[round(start, 6), round(end, 6)] for start, end in spans],
            "scores": scores.round(4).tolist(),
        }

    @property
    def windows(self) -> Windows:
        """How long recordings are cut. One that is shorter than a window is a window."""
        return Windows(self.config.window_s, self.config.hop_s, short="keep")

    def probabilities(self, batch: Batch) -> Tensor:
        """(B, C) on the CPU."""
        with torch.no_grad():
            return self.logits(batch).float().sigmoid().cpu()

    def ensemble(self, predictions: Sequence[Prediction]) -> Prediction:
        """The mean of the probabilities."""
        scores = [
            round(float(np.mean(values)), 6) for values in zip(*(row["scores"] for row in predictions), strict=True)
        ]
        return {**predictions[0], "predicted": self._heard(scores), "scores": scores}

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """map and auroc, means over the classes that occur. Raises LabelError where none does."""
        known = _known(predictions)
        targets, scores = self._arrays(known)
        if not targets.any():
            raise LabelError(
                f"None of the {len(predictions)} predictions has a target with a label, so there is nothing to score."
            )
        found = multilabel_metrics(targets, scores, clusters_of_rows(known, self.group_field))
        # Where every window has every label that occurs, there is no ROC curve.
        return {name: metric for name, metric in found.items() if metric.value == metric.value}

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """labels, and those without a positive window, over which no mean is taken."""
        targets, _ = self._arrays(_known(predictions))
        absent = [label for label, count in zip(self.config.labels, targets.sum(axis=0), strict=True) if not count]
        return {"labels": list(self.config.labels), "labels_left_out": absent}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """Average precision, ROC area and number of windows of each class."""
        known = _known(predictions)
        if not known:
            return []
        rows: list[list[Cell]] = []
        for label, found in zip(self.config.labels, per_class(*self._arrays(known)), strict=True):
            values = [None if value is None else round(value, 4) for value in found[:2]]
            rows.append([label, found.num_positives, found.num_positives / len(known), *values])
        absent = self.facts(predictions)["labels_left_out"]
        note = "The average precision of guessing is the share. "
        note += f"No window has {', '.join(absent)}: left out of the means." if absent else ""
        header = ["label", "windows with it", "share", "average precision", "AUROC"]
        return [Table("Classes", header, rows, note.strip())]

    def columns(self, prediction: Prediction) -> dict[str, str]:
        if "events" not in prediction:
            return {"labels": ", ".join(prediction["predicted"]) or "-"}
        events = prediction["events"]
        shown = [f"{start:g}-{end:g} s {label} {score:.2f}" for start, end, label, score in events[:5]]
        more = f" and {len(events) - 5} more" if len(events) > 5 else ""
        return {"labels": "; ".join(shown) + more or "-"}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.bioacoustics.figures import draw_timelines

        return draw_timelines(_known(predictions), self.config.labels, self.config.threshold, folder)

    def _prediction(self, cut: Cut, probabilities: Tensor) -> dict[str, Any]:
        scores = [round(value, 6) for value in probabilities.tolist()]
        custom = (cut.supervisions[0].custom or {}) if cut.supervisions else {}
        return {
            "id": cut.id,
            "target": read_labels(cut, self.config.label_field),
            "predicted": self._heard(scores),
            "scores": scores,
            "speaker": read_field(cut, "speaker"),
            "group": group_of(cut, self.config.group_field),
            "recording": recording_name(cut),
            "start_s": round(float(cut.start), 6),
            "end_s": round(float(cut.start + cut.duration), 6),
            "calls": custom.get("calls", []),
        }

    def _long_scores(self, cut: Cut, spans: Sequence[tuple[float, float]]) -> Iterator[Tensor]:
        """Probabilities (W, C), a batch of windows after the other: only its sound is in memory."""
        upstream, rest = self.upstream, iter(spans)
        device = next(self.classifier.parameters()).device
        while part := list(islice(rest, _AT_ONCE)):
            rows = [
                cut.truncate(offset=start, duration=end - start, preserve_id=False).drop_supervisions()
                for start, end in part
            ]
            batch = collate(rows, upstream.sample_rate_hz, min_samples=upstream.min_samples)
            yield self.probabilities(batch.to(device))

    def _heard(self, scores: Sequence[float]) -> list[str]:
        return sorted(
            label for label, score in zip(self.config.labels, scores, strict=True) if score >= self.config.threshold
        )

    def _arrays(self, rows: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
        """Targets and scores (N, C)."""
        targets = np.zeros((len(rows), len(self.config.labels)), dtype=np.int64)
        for number, row in enumerate(rows):
            targets[number, [self.index[label] for label in row["target"]]] = 1
        return targets, np.array([row["scores"] for row in rows], dtype=np.float64).reshape(targets.shape)


def _known(predictions: Sequence[Prediction]) -> list[Prediction]:
    return [row for row in predictions if row["target"] is not None]


def _positive_weights(config: BioacousticWindowsConfig) -> Tensor:
    """(C,) windows without a class for each window with it. Ones where that is off."""
    if not config.class_weights:
        return torch.ones(len(config.labels))
    if len(config.label_counts) != len(config.labels):
        raise ConfigError("class_weights needs label_counts, which `complete` takes from the training windows.")
    counts = torch.tensor(config.label_counts, dtype=torch.float32)
    return (config.num_items - counts).clamp(min=1) / counts.clamp(min=1)
