"""Utterance classification with the head of SUPERB's keyword, speaker, intent and emotion tasks (arXiv:2105.01051)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import AudioError, ConfigError, LabelError
from audiossl.core.ranges import Count, CountOrZero, ShareBelowOne
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import known_fields, read_field, rows_without
from audiossl.data.reading import num_samples_of
from audiossl.downstreams.utterance_classification.aggregation import EcapaHead, chosen_pooling, fewest_frames
from audiossl.downstreams.utterance_classification.factors import (
    FactorsHead,
    adopt_factors,
    evidence_loss,
    factor_pooling,
    with_shape,
)
from audiossl.downstreams.utterance_classification.fusing import fuse_labels
from audiossl.downstreams.utterance_classification.probabilities import calibration_facts, calibration_table, word_of
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.classification import classification_metrics, confusion_matrix
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.probabilities import log_probabilities, temperature_that_helps, without_weights
from audiossl.nn.factors import FactorAnalysis
from audiossl.nn.mlp import make_classifier
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.interface import Interface
from audiossl.training.pooled import PooledDownstream
from audiossl.training.task import Monitor, Prediction


@dataclass(frozen=True)
class UtteranceClassificationConfig:
    """The head and the label it predicts. The defaults are the published head."""

    label_field: str = "label"
    """What is predicted: 'label' or another custom column of the manifest, or 'speaker', 'language', 'text'."""
    projector_width: Count | None = 256
    """Width of the linear layer before the pooling. Null for no such layer."""
    pooling: str = "mean"
    """How frames become one vector: 'mean', 'max', 'attention', 'statistics', 'attentive_statistics', 'ecapa', or
    'factors' of `factors`, which the classifier reads without a projector."""
    factors: FactorsHead = field(default_factory=FactorsHead)
    """Fitted factors, for pooling=factors."""
    ecapa: EcapaHead = field(default_factory=EcapaHead)
    """Sizes of ECAPA-TDNN, for pooling=ecapa."""
    hidden: list[Count] = field(default_factory=list)
    """Widths of layers between the pooling and the classifier, each with layer norm and ReLU. Empty for a linear
    classifier."""
    dropout: ShareBelowOne = 0.0
    """Dropout on the pooled vector."""
    label_smoothing: ShareBelowOne = 0.0
    """Share of the target that all classes have alike. 0 for none."""
    class_weights: bool = False
    """Whether an item weighs 1 / (number of training items of its class), with mean 1 over training."""
    labels: list[str] = field(default_factory=list)
    """The classes, in the order of the scores. Empty for those of the training data, sorted."""
    label_counts: list[CountOrZero] = field(default_factory=list)
    """How many training items each label has. It is filled in from the training data."""


class UtteranceClassification(PooledDownstream):
    """Linear(D, 256), masked mean over time, Linear(256, C), without a non-linearity, trained by cross entropy.

    Each evaluation of dev fits a temperature, which is saved with the weights that it was fitted for, and used where it
    makes held-out items likelier. A mean of several checkpoints has the mean of their temperatures.
    """

    Config = UtteranceClassificationConfig
    monitor = Monitor("accuracy", "max")
    fewest_labels: ClassVar[int] = 2
    metric_names: ClassVar[dict[str, str]] = {"accuracy": "accuracy", "uar": "uar", "f1": "f1"}  # what it calls them
    group_field = "speaker"  # what the `group` (or `speaker`) of a prediction is

    def __init__(self, upstream: Upstream, interface: Interface, config: UtteranceClassificationConfig) -> None:
        super().__init__(upstream, interface)
        if len(config.labels) < self.fewest_labels:
            raise ConfigError("labels: a classifier needs at least two; `complete` takes them from training items.")
        self.config = config
        self.index = {label: number for number, label in enumerate(config.labels)}
        factors = factor_pooling(config.factors, interface) if config.pooling == "factors" else None
        pooling = chosen_pooling(config.pooling, config.ecapa)
        width = self.build_pooling(config.projector_width, pooling, config.dropout, factors)
        self.classifier = make_classifier(width, config.hidden, len(config.labels))
        self.register_buffer("class_weights", _class_weights(config), persistent=False)
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))  # the temperature, and 1 where it helps

    @classmethod
    def complete(cls, config: UtteranceClassificationConfig, cuts: Iterable[Cut]) -> UtteranceClassificationConfig:
        """Fill `labels` (sorted) and `label_counts` from the training cuts. Raises LabelError for fewer than two."""
        rows = list(cuts)
        counts = Counter(label for cut in rows if (label := read_field(cut, config.label_field)) is not None)
        labels = list(config.labels) or sorted(counts)
        if len(labels) < 2:
            found = f"only {labels[0]!r}" if labels else "none"
            raise LabelError(
                f"A classifier needs at least two labels and the training items have {found} in the field "
                f"{config.label_field!r}; set task.label_field to the column that holds the labels (there are: "
                f"{', '.join(known_fields(rows)) or 'none'})."
            )
        factors = with_shape(config.factors) if config.pooling == "factors" else config.factors
        return replace(config, labels=labels, label_counts=[counts[label] for label in labels], factors=factors)

    def standardize(self) -> None:
        """As every task. Factors read the states that they were fitted on."""
        if self.config.pooling != "factors":
            super().standardize()

    def finetune(self, config: FinetuneConfig) -> None:
        if self.config.pooling == "factors" and (config.mode == "lora" or config.adapter_width):
            what = "mode=lora" if config.mode == "lora" else f"adapter_width={config.adapter_width}"
            raise ConfigError(
                f"finetune.{what} adds weights to the encoder, by which fitted factors no longer know it as their own; "
                f"choose another mode, or another pooling."
            )
        super().finetune(config)

    @property
    def needs_fit(self) -> bool:
        return super().needs_fit or (isinstance(self.pooling, FactorAnalysis) and not bool(self.pooling.fitted))

    def fit(self, batches: Iterable[Batch]) -> None:
        """As every task, and read fitted factors. Raises CheckpointError for those of another encoder."""
        super().fit(batches)
        if isinstance(self.pooling, FactorAnalysis):
            adopt_factors(self.pooling, self.config.factors, self.upstream)

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for items without a label or with one unseen in training, AudioError for too short ones."""
        unseen: dict[str, str] = {}
        rows = list(cuts)
        self.check_labelled(rows, where)
        for cut in rows:
            for label in self.labels_of(cut, where):
                if label not in self.index:
                    unseen.setdefault(label, cut.id)
        if unseen:
            names = ", ".join(map(repr, list(unseen)[:5])) + (" and more" if len(unseen) > 5 else "")
            raise LabelError(
                f"{len(unseen)} label(s) of {where} were not seen in training: {names} (for instance item "
                f"{next(iter(unseen.values()))!r}); add training items with them or drop those items from {where}."
            )
        if self.min_frames > 1:
            for cut in rows:
                if getattr(cut, "recording", None) is not None:
                    samples = num_samples_of(cut, self.upstream.sample_rate_hz)
                    self._check_frames(cut, int(self.upstream.num_frames(samples)))

    def check_labelled(self, cuts: Sequence[Cut], where: str) -> None:
        """Raises LabelError for items of which nobody has said what is right."""
        if lacking := rows_without(cuts, self.config.label_field, where):
            raise LabelError(
                f"{lacking}; fill it in, drop them, or set task.label_field to the column that holds the labels."
            )

    def labels_of(self, cut: Cut, where: str) -> Sequence[str]:
        """What is right for an item: here one label. Raises LabelError where nobody has said."""
        label = read_field(cut, self.config.label_field)
        if label is None:
            raise LabelError(
                f"Item {cut.id!r} of {where} has nothing in the field {self.config.label_field!r}; fill it in, drop "
                f"the item, or set task.label_field to the column that holds the labels."
            )
        return [label]

    @property
    def stackable(self) -> bool:
        return super().stackable and self.config.pooling not in ("factors", "ecapa")

    @property
    def min_frames(self) -> int:
        return fewest_frames(self.pooling)

    def _check_frames(self, cut: Cut, frames: int) -> None:
        """Raises AudioError for an item with fewer frames than the pooling needs."""
        if frames < self.min_frames:
            raise AudioError(
                f"Item {cut.id!r} lasts {cut.duration:g} s, {frames} frames of this encoder, and task.pooling="
                f"{self.config.pooling} needs {self.min_frames}; drop the item, or take another pooling."
            )

    def logits(self, batch: Batch) -> Tensor:
        """(B, C)."""
        return self.classify(*self._checked_sequence(batch))

    def _checked_sequence(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sequence and its lengths. Raises AudioError for an item with fewer frames than the pooling needs."""
        sequence, lengths = self.sequence(batch)
        if self.min_frames > 1:  # a vmapped head has no numbers to look at, and none that needs more than a frame
            for cut, frames in zip(batch.cuts, lengths.tolist(), strict=True):
                self._check_frames(cut, frames)
        return sequence, lengths

    def classify(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) frames -> (B, C)."""
        sequence = sequence.to(self.classifier.weight.dtype)  # an encoder may run in half precision, the head does not
        logits: Tensor = self.classifier(self.pooled(sequence, lengths))
        return logits

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The `logits` (B, C), and the `scores` (B, C) of a prediction."""
        logits, weights = self.classify(sequence, lengths).float(), self.get_buffer("class_weights")
        temperature, helps = self.get_buffer("calibration").unbind()
        # As `_probabilities`, which needs no tensors: logits without class weights, over the temperature if it helps.
        mended = (logits - torch.where(weights > 0, weights, 1.0).log()) / temperature
        return {"logits": logits, "scores": torch.where(helps > 0.5, mended, logits).softmax(dim=-1)}

    def output_facts(self) -> dict[str, Any]:
        return {"labels": list(self.config.labels)}

    def loss(self, batch: Batch) -> Loss:
        """Cross entropy, a mean over the items. Logs the accuracy, and with factors that train the evidence."""
        sequence, lengths = self._checked_sequence(batch)
        logits = self.classify(sequence, lengths).float()
        numbers = [self.index[label] for cut in batch.cuts for label in self.labels_of(cut, "training")]
        targets = torch.tensor(numbers, device=logits.device)
        losses = nn.functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=self.config.label_smoothing
        )
        if self.config.class_weights:
            losses = losses * self.get_buffer("class_weights")[targets]
        weight = torch.tensor(float(len(numbers)), device=logits.device)
        correct = (logits.detach().argmax(dim=-1) == targets).float()
        total, logs = losses.mean(), {"accuracy": correct.mean()}
        if isinstance(self.pooling, FactorAnalysis) and self.config.factors.loss_weight:
            missing = evidence_loss(self.pooling, sequence, lengths).mean()
            total, logs["evidence"] = total + self.config.factors.loss_weight * missing, -missing.detach()
        return Loss(total, weight, logs)

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, target (None if the item has no label), predicted, probability, scores (C), speaker and duration_s.

        Also the `logits` (C) that all of it is made of, and whether the probabilities are `calibrated`, by which
        `temperature`. Without that they are scores.
        """
        with torch.no_grad():
            logits = self.logits(batch).float().cpu()
        return [self._prediction(cut, row) for cut, row in zip(batch.cuts, logits, strict=True)]

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """The predictions as they are. On dev the calibration is fitted first: its own are therefore not held out."""
        if split != "dev":
            return predictions
        known = [row for row in predictions if row["target"] is not None and "logits" in row]
        self._calibrate(sorted(known, key=lambda row: str(row["id"])))
        return [{**row, **self._judged(row)} if "logits" in row else row for row in predictions]

    @property
    def temperature(self) -> float | None:
        """What logits are divided by. None where there is none that helps."""
        temperature, helps = self.get_buffer("calibration").tolist()
        return round(temperature, 6) if helps > 0.5 else None  # of averaged checkpoints, most must have one

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """As every task. Checkpoints of versions without a calibration have none."""
        super().load_trainable_state({"calibration": self._calibration_of_earlier_versions, **state})

    def ensemble(self, predictions: Sequence[Prediction]) -> Prediction:
        """The mean of the probabilities, or of what the models say by themselves where one is not calibrated."""
        calibrated = all(row["calibrated"] for row in predictions)
        logits = np.array([row["logits"] for row in predictions])
        own = np.array([row["scores"] for row in predictions]) if calibrated else np.exp(log_probabilities(logits))
        mean = own.mean(axis=0)
        # What is predicted is as in training, class weights included. Of equal means the one with the higher logit.
        votes = mean * self._weights if calibrated else mean
        best = int(np.lexsort((logits.mean(axis=0), votes))[-1])
        scores = mean.round(6).tolist()
        chosen = {"predicted": self.config.labels[best], "probability": scores[best], "scores": scores}
        made = {"logits": logits.mean(axis=0).round(6).tolist(), "calibrated": calibrated, "temperature": None}
        return {**predictions[0], **chosen, **made}

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        """The mean of the probabilities of runs, with equal weights or those that make the labels of dev likeliest."""
        return fuse_labels(runs, weights, cls.metric_names, cls.group_field)

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """accuracy, uar and f1 over the items that have a target."""
        known = [row for row in predictions if row["target"] is not None]
        if not known:
            raise LabelError(f"None of the {len(predictions)} predictions has a target, so there is nothing to score.")
        targets, predicted = [row["target"] for row in known], [row["predicted"] for row in known]
        return classification_metrics(targets, predicted, clusters_of_rows(known, self.group_field))

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        known = [row for row in predictions if row["target"] is not None]
        targets, predicted = [row["target"] for row in known], [row["predicted"] for row in known]
        counts = confusion_matrix(targets, predicted, self.config.labels)
        return {
            "labels": list(self.config.labels),
            "confusion": counts.tolist(),
            "calibration": calibration_facts(known, self.config.labels),
        }

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """What the probabilities are worth."""
        known = [row for row in predictions if row["target"] is not None]
        return calibration_table(calibration_facts(known, self.config.labels))

    def columns(self, prediction: Prediction) -> dict[str, str]:
        return {"label": prediction["predicted"], word_of(prediction): f"{prediction['probability']:.3f}"}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.utterance_classification.figures import draw_confusion

        known = [row for row in predictions if row["target"] is not None]
        if not known:
            return {}
        path = folder / "confusion.png"
        draw_confusion([row["target"] for row in known], [row["predicted"] for row in known], self.config.labels, path)
        return {"Confusion matrix": path}

    def _prediction(self, cut: Cut, logits: Tensor) -> dict[str, Any]:
        best = int(logits.argmax())  # not of rounded probabilities, which may be equal
        return {
            "id": cut.id,
            "target": read_field(cut, self.config.label_field),
            "predicted": self.config.labels[best],
            **self._probabilities(logits.double().numpy().round(6).tolist(), best),
            "speaker": read_field(cut, "speaker"),
            "duration_s": round(float(cut.duration), 4),
        }

    def _probabilities(self, logits: list[float], best: int) -> dict[str, Any]:
        """What a prediction says of the probabilities of classes, from logits (C) and the class that is predicted.

        Calibrated ones are those of the classes as frequent as in training, whatever the loss weights them by.
        """
        temperature, values = self.temperature, np.array(logits)
        if temperature is not None:
            values = without_weights(values, self._weights) / temperature
        scores = np.exp(log_probabilities(values)).round(6).tolist()
        calibration = {"calibrated": temperature is not None, "temperature": temperature}
        return {"probability": scores[best], "scores": scores, "logits": logits, **calibration}

    def _judged(self, prediction: Prediction) -> dict[str, Any]:
        """What follows from the logits of a prediction, as the calibration is now."""
        return self._probabilities(prediction["logits"], self.index[prediction["predicted"]])

    def _calibrate(self, rows: Sequence[Prediction]) -> None:
        """Fit the temperature to the rows of dev."""
        logits = np.array([row["logits"] for row in rows], dtype=np.float64).reshape(len(rows), len(self.index))
        targets = np.array([self.index[row["target"]] for row in rows], dtype=np.int64)
        found = temperature_that_helps(logits, targets, clusters_of_rows(rows, self.group_field), self._weights)
        self._keep_calibration([1.0, 0.0] if found is None else [found, 1.0])

    def _keep_calibration(self, values: Any) -> None:
        buffer = self.get_buffer("calibration")
        buffer.copy_(torch.tensor(values).to(buffer))

    @property
    def _calibration_of_earlier_versions(self) -> Tensor:
        return torch.tensor([1.0, 0.0])

    @property
    def _weights(self) -> Floats:
        """(C,) of the classes in the loss."""
        weights: Floats = self.get_buffer("class_weights").cpu().double().numpy()
        return weights


def _class_weights(config: UtteranceClassificationConfig) -> Tensor:
    """(C,) N / (C n_c), so that the mean over training items is 1. Ones where they are off."""
    if not config.class_weights:
        return torch.ones(len(config.labels))
    if len(config.label_counts) != len(config.labels):
        raise ConfigError("class_weights needs label_counts, which `complete` takes from the training items.")
    counts = torch.tensor(config.label_counts, dtype=torch.float32)
    seen = counts > 0
    return torch.where(seen, counts.sum() / (seen.sum() * counts.clamp(min=1)), 0.0)
