"""All labels that are heard in a window: one sigmoid a class, binary cross entropy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import CountOrZero, NonNegative, Range
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.annotated import Windows
from audiossl.data.fields import read_field, read_labels
from audiossl.data.leaks import recording_name
from audiossl.data.loader import collate
from audiossl.downstreams.bioacoustics.events import events_of
from audiossl.downstreams.bioacoustics.fusing import fuse_windows
from audiossl.downstreams.bioacoustics.tables import calibration_facts, class_table
from audiossl.downstreams.bioacoustics.task import group_of
from audiossl.downstreams.bioacoustics.thresholds import Decision, fit_decision, scores_of, significant
from audiossl.downstreams.utterance_classification.task import UtteranceClassification, UtteranceClassificationConfig
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.multilabel import multilabel_metrics
from audiossl.nn.mlp import make_classifier
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
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
    group_field: str = "recording"
    """What varies as a whole, as calls of one recording are not independent: 'recording' (the column of that name,
    else the sound file), 'speaker' for the individual, or any other field."""
    threshold: Annotated[float, Range(above=0, below=1)] | None = None
    """Score from which on a class counts as heard. Null for one of each class, by the F1 on dev."""
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
    """The head of utterance classification with a sigmoid for each class.

    Each evaluation of dev fits how each class is decided (`Decision`), which is saved with the weights.
    A mean of several checkpoints has the mean of their decisions.
    """

    Config = BioacousticWindowsConfig
    monitor = Monitor("map", "max")
    fewest_labels: ClassVar[int] = 1  # a call or none
    config: BioacousticWindowsConfig

    def __init__(self, upstream: Upstream, interface: Interface, config: BioacousticWindowsConfig) -> None:
        super().__init__(upstream, interface, replace(config, class_weights=False))
        self.config = config
        self.group_field = config.group_field
        self.classifier = make_classifier(self.pooling.out_width, config.hidden, len(config.labels))
        self.class_weights = _positive_weights(config)
        plain = [Decision(1.0, -float(np.log(weight))) for weight in self._weights]
        self.register_buffer("calibration", torch.tensor(plain))  # (C, 4)

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

    def check_split(self, cuts: Iterable[Cut], split: str) -> None:
        """Raise LabelError for a row of dev or test that is cut into windows, since its labels say of none of them."""
        super().check_split(cuts, split)
        if split == "train" or self.longest_s is None:
            return
        for cut in cuts:
            if cut.duration > self.longest_s:
                raise LabelError(
                    f"Item {cut.id!r} of {split} lasts {cut.duration:.6g} s and a window {self.config.window_s:.6g} s, "
                    f"so that its labels would be of no window; cut the rows into windows by `audiossl data "
                    f"from-annotations --rows windows`, or train with task.window_s={math.ceil(cut.duration)}."
                )

    def labels_of(self, cut: Cut, where: str) -> Sequence[str]:
        """What is heard in a window, nothing perhaps. Raises LabelError for one that nobody has annotated."""
        labels = read_labels(cut, self.config.label_field)
        if labels is None:
            raise LabelError(
                f"Item {cut.id!r} of {where} has no field {self.config.label_field!r}; a window in which nothing "
                f"is heard has an empty one: make the windows with `audiossl data from-annotations`."
            )
        return labels

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        """The mean of the scores, and thresholds that dev has for it (see `fusing`)."""
        return fuse_windows(runs, weights, cls.Config().group_field)

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

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The `logits` (B, C), and the `scores` (B, C) of a prediction."""
        logits = self.classify(sequence, lengths).float()
        scale, offset = self.get_buffer("calibration").unbind(dim=-1)[:2]
        return {"logits": logits, "scores": (scale * logits + offset).sigmoid()}

    def output_facts(self) -> dict[str, Any]:
        return {**super().output_facts(), "thresholds": self.thresholds.tolist(), "window_s": self.config.window_s}

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, target and predicted (lists of labels), scores (C), speaker, group, recording, start_s, end_s, calls.

        Also the `logits` (C) that the scores are made of, and whether those of all classes are `calibrated`.
        """
        with torch.no_grad():
            logits = self.logits(batch).float().cpu()
        return [self._prediction(cut, row) for cut, row in zip(batch.cuts, logits, strict=True)]

    def predict_long(self, cut: Cut) -> Prediction:
        """A recording window by window: `windows` (start, end), `scores` (W, C), and `events` above `thresholds` (C).

        Times count from the beginning of the sound file.
        """
        inside = self.windows.spans(cut.duration)
        scores = np.concatenate(list(self._long_scores(cut, inside)))
        spans = [(start + cut.start, end + cut.start) for start, end in inside]
        events = events_of(spans, scores, self.config.labels, self.thresholds)
        return {
            "id": cut.id,
            "target": None,
            "predicted": sorted({event.label for event in events}),
            "recording": recording_name(cut),
            "duration_s": round(float(cut.duration), 4),
            "events": [list(event) for event in events],
            "windows": [[round(start, 6), round(end, 6)] for start, end in spans],
            "scores": scores.tolist(),
            "thresholds": self.thresholds.tolist(),
            "calibrated": self.is_calibrated,
        }

    @property
    def windows(self) -> Windows:
        """How long recordings are cut. One that is shorter than a window is a window."""
        return Windows(self.config.window_s, self.config.hop_s, short="keep")

    @property
    def decisions(self) -> list[Decision]:
        """How each class is decided. A threshold that the user has set goes before those of dev."""
        rows = self.get_buffer("calibration").cpu().double().numpy()
        found = [Decision(*row.tolist()) for row in rows]
        asked = self.config.threshold
        return found if asked is None else [each._replace(threshold=asked) for each in found]

    @property
    def temperature(self) -> None:
        """None: each class has a decision instead."""

    @property
    def thresholds(self) -> Floats:
        """(C,) the score from which on a class counts as heard."""
        return np.array([each.threshold for each in self.decisions])

    @property
    def is_calibrated(self) -> bool:
        """Whether the scores of all classes are probabilities that were fitted on dev."""
        return all(each.calibrated > 0.5 for each in self.decisions)  # of averaged checkpoints, in most

    def ensemble(self, predictions: Sequence[Prediction]) -> Prediction:
        """The mean of the scores. Of a window, what most models hear. Of a recording, events by the mean threshold."""
        first, mean = predictions[0], np.mean([row["scores"] for row in predictions], axis=0)
        made = {"scores": significant(mean).tolist(), "calibrated": all(row["calibrated"] for row in predictions)}
        if "windows" not in first:
            votes = [sum(label in row["predicted"] for row in predictions) for label in self.config.labels]
            heard = [label for label, num in zip(self.config.labels, votes, strict=True) if 2 * num >= len(predictions)]
            logits = np.mean([row["logits"] for row in predictions], axis=0).round(6).tolist()
            return {**first, **made, "predicted": sorted(heard), "logits": logits}
        thresholds = np.mean([row["thresholds"] for row in predictions], axis=0)
        events = events_of(first["windows"], mean, self.config.labels, thresholds)
        made |= {"thresholds": thresholds.tolist(), "events": [list(event) for event in events]}
        return {**first, **made, "predicted": sorted({event.label for event in events})}

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
        """labels, those without a positive window, over which no mean is taken, and how classes are decided.

        Folds decide each by itself, which is then not said.
        """
        known, labels = _known(predictions), list(self.config.labels)
        targets, _ = self._arrays(known)
        absent = [label for label, count in zip(labels, targets.sum(axis=0), strict=True) if not count]
        pooled = any("fold" in row for row in predictions)
        decisions = {label: each._asdict() for label, each in zip(labels, self.decisions, strict=True)}
        return {
            "labels": labels,
            "labels_left_out": absent,
            "decisions": None if pooled else decisions,
            "calibration": calibration_facts(known, targets),
        }

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """The classes: how well they are ranked, how well decided, and what their scores are worth."""
        known = _known(predictions)
        return [class_table(known, *self._arrays(known), self.facts(predictions))] if known else []

    def columns(self, prediction: Prediction) -> dict[str, str]:
        if "events" not in prediction:
            return {"labels": ", ".join(prediction["predicted"]) or "-"}
        events = prediction["events"]
        shown = [f"{start:g}-{end:g} s {label} {score:.2f}" for start, end, label, score in events[:5]]
        more = f" and {len(events) - 5} more" if len(events) > 5 else ""
        return {"labels": "; ".join(shown) + more or "-"}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.bioacoustics.figures import draw_timelines

        pooled = any("fold" in row for row in predictions)  # each fold has thresholds of its own
        return draw_timelines(_known(predictions), self.config.labels, None if pooled else self.thresholds, folder)

    def _prediction(self, cut: Cut, logits: Tensor) -> dict[str, Any]:
        custom = (cut.supervisions[0].custom or {}) if cut.supervisions else {}
        return {
            "id": cut.id,
            "target": read_labels(cut, self.config.label_field),
            **self._judged({"logits": logits.double().numpy().round(6).tolist()}),
            "speaker": read_field(cut, "speaker"),
            "group": group_of(cut, self.config.group_field),
            "recording": recording_name(cut),
            "start_s": round(float(cut.start), 6),
            "end_s": round(float(cut.start + cut.duration), 6),
            "calls": custom.get("calls", []),
        }

    def _judged(self, prediction: Prediction) -> dict[str, Any]:
        scores = scores_of(prediction["logits"], np.array(self.decisions))
        heard = sorted(np.array(self.config.labels)[scores >= self.thresholds].tolist())
        shown = {"predicted": heard, "scores": scores.tolist(), "logits": prediction["logits"]}
        return {**shown, "calibrated": self.is_calibrated}

    def _calibrate(self, rows: Sequence[Prediction]) -> None:
        """Fit the decision of each class to the windows of dev."""
        targets, _ = self._arrays(rows)
        logits = np.array([row["logits"] for row in rows], dtype=np.float64).reshape(targets.shape)
        clusters, present = clusters_of_rows(rows, self.group_field), targets.astype(bool)
        self._keep_calibration(
            [
                fit_decision(logits[:, place], present[:, place], clusters, weight)
                for place, weight in enumerate(self._weights)
            ]
        )

    @property
    def _calibration_of_earlier_versions(self) -> Tensor:
        return torch.tensor([Decision(1.0, 0.0)] * len(self.config.labels))

    def _long_scores(self, cut: Cut, spans: Sequence[tuple[float, float]]) -> Iterator[Floats]:
        """Scores (W, C), a batch of windows after the other: only its sound is in memory."""
        upstream, rest, decisions = self.upstream, iter(spans), np.array(self.decisions)
        device = next(self.classifier.parameters()).device
        while part := list(islice(rest, _AT_ONCE)):
            rows = [
                cut.truncate(offset=start, duration=end - start, preserve_id=False).drop_supervisions()
                for start, end in part
            ]
            batch = collate(rows, upstream.sample_rate_hz, min_samples=upstream.min_samples)
            with torch.no_grad():
                yield scores_of(self.logits(batch.to(device)).double().cpu().numpy(), decisions)

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
