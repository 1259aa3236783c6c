"""Onset, offset and class of calls, by a probability for each frame and class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.config import LoaderConfig
from audiossl.data.frame_labels import first_centre_s
from audiossl.data.leaks import recording_name
from audiossl.downstreams.bioacoustic_events.all_thresholds import (
    behind_filter,
    check_kept,
    check_short,
    psds_of_rows,
    psds_written,
)
from audiossl.downstreams.bioacoustic_events.calls import calls_of, check_calls, has_calls, heard_in, labels_at
from audiossl.downstreams.bioacoustic_events.choosing import DevLine, DevRow, rules_by_events, rules_by_labels
from audiossl.downstreams.bioacoustic_events.config import BioacousticEventsConfig, completed, positive_weights
from audiossl.downstreams.bioacoustic_events.decisions import EventRule, events_in
from audiossl.downstreams.bioacoustic_events.detecting import detected
from audiossl.downstreams.bioacoustic_events.heads import EventHead, first_bias, pooled
from audiossl.downstreams.bioacoustic_events.tables import class_table, worst_table
from audiossl.downstreams.bioacoustics.task import group_of
from audiossl.downstreams.diarization.decisions import FrameClock
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.clusters import Floats, clusters_of_rows
from audiossl.metrics.jackknife import intervals_wanted
from audiossl.metrics.multilabel import multilabel_metrics
from audiossl.metrics.sound_events import SoundEvent, event_counts, event_metrics
from audiossl.nn.masking import valid_frames
from audiossl.training.downstream import Downstream
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction

_DIGITS = 5  # of probabilities


class BioacousticEvents(Downstream):
    """Convolutions over time with a sigmoid for each frame and class.

    Each evaluation of dev chooses how each class is decided, which is saved with the weights.
    """

    Config = BioacousticEventsConfig
    monitor = Monitor("overlap_f1", "max")

    def __init__(self, upstream: Upstream, interface: Interface, config: BioacousticEventsConfig) -> None:
        super().__init__(upstream, interface)
        if not config.labels:
            raise ConfigError("labels: a detector needs at least one; `complete` takes them from training rows.")
        self.config, self.group_field = config, config.group_field
        self.index = {label: place for place, label in enumerate(config.labels)}
        self.weak = config.supervision == "weak"
        if config.decides_by == "labels":
            self.monitor = Monitor("map", "max")
        self.head = EventHead(
            interface.width,
            len(config.labels),
            hidden=config.hidden,
            num_layers=config.num_layers,
            normalize=config.normalize,
            dropout=config.dropout,
            attention=self.weak and config.pooling == "attention",
        )
        self.clock = FrameClock(first_centre_s(upstream), upstream.stride / upstream.sample_rate_hz)
        self._begin_with_shares()
        self.register_buffer("positive_weights", positive_weights(config), persistent=False)
        self.register_buffer("decision", torch.tensor([[*config.wanted[0], 0.0]] * len(config.labels)))  # (C, 5)

    @classmethod
    def complete_by_data(cls, config: BioacousticEventsConfig, data: LoaderConfig) -> BioacousticEventsConfig:
        """As it is. Raises ConfigError for crops of rows whose labels are of the whole."""
        if config.supervision == "weak" and data.max_crop_s is not None:
            raise ConfigError(
                f"data.max_crop_s={data.max_crop_s:g} cuts rows, and weak labels are of whole ones; make shorter rows "
                f"(`audiossl data from-annotations --rows windows`), or leave it out."
            )
        return config

    @classmethod
    def complete(cls, config: BioacousticEventsConfig, cuts: Iterable[Cut]) -> BioacousticEventsConfig:
        return completed(config, cuts)

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for rows that say too little or what cannot be, and for a class that is not known."""
        for cut in cuts:
            labels = set()
            if has_calls(cut) or not self.weak:
                calls = check_calls(cut, where, join=self.config.same_class == "join")
                labels = {label for *_, label in calls}
            heard = heard_in(cut, self.config.label_field)
            if self.weak and heard is None:
                raise LabelError(
                    f"Row {cut.id} of {where} has no field {self.config.label_field!r}; one in which nothing is heard "
                    f"has an empty one: fill it in, or set task.label_field."
                )
            if unknown := sorted((labels | set(heard or []) if self.weak else labels) - self.index.keys()):
                raise LabelError(
                    f"Row {cut.id} of {where} has a call of {unknown[0]!r}, of which training has none; add training "
                    f"rows with it, or drop these calls."
                )

    def check_split(self, cuts: Iterable[Cut], split: str) -> None:
        """Raises LabelError for a dev set without the strong labels by which it is to choose, and for rows too long."""
        if self.config.psds and split != "train":
            check_short(cuts, split)
        if split == "dev" and self.config.decides_by == "events" and not any(has_calls(cut) for cut in cuts):
            raise LabelError(
                "No row of dev says when its calls are, by which decisions are chosen; add such rows, or set "
                "task.decide_by=labels."
            )

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
        """(B, T, C), those of the attention or None, and (B,) frames."""
        x, lengths = self.sequence(batch)
        lengths = lengths.to(x.device)
        return *self.head(x, lengths), lengths

    def loss(self, batch: Batch) -> Loss:
        """Binary cross entropy, a mean over frames and classes, or with weak labels over rows and classes."""
        logits, attention, lengths = self.logits(batch)
        weights = self.get_buffer("positive_weights")
        if self.weak:
            likely = pooled(self.config.pooling, logits, attention, lengths)
            targets = torch.from_numpy(self._present(batch.cuts)).to(likely)
            losses = -(weights * targets * likely.log() + (1 - targets) * (1 - likely).log())
            return Loss(losses.mean(), torch.tensor(float(len(batch)), device=logits.device))
        targets = self.frame_labels(batch.cuts, lengths, logits.shape[1]).to(logits.device)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=weights)
        valid = valid_frames(lengths, logits.shape[1])[..., None]
        frames = lengths.sum().to(logits)
        return Loss(torch.where(valid, losses, 0.0).sum() / (frames * len(self.index)), frames)

    def frame_labels(self, cuts: Sequence[Cut], lengths: Tensor, num_frames: int) -> Tensor:
        """(B, T, C) 1 where a class is heard at the centre of a frame.

        cuts: B rows.
        lengths: (B,) their frames.
        num_frames: T.
        """
        made = np.zeros((len(cuts), num_frames, len(self.index)), dtype=np.float32)
        for cut, row, count in zip(cuts, made, lengths.tolist(), strict=True):
            times_s = self.clock.first_s + np.arange(count) * self.clock.step_s
            row[:count] = labels_at(calls_of(cut), self.labels, times_s)
        return torch.from_numpy(made)

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """`probabilities` (B, T, C)."""
        return {"probabilities": self.head(sequence, lengths)[0].sigmoid()}

    def output_facts(self) -> dict[str, Any]:
        rules = {label: rule._asdict() for label, rule in zip(self.labels, self.rules, strict=True)}
        return {**super().output_facts(), **self.clock._asdict(), "labels": self.labels, "rules": rules}

    @property
    def labels(self) -> list[str]:
        """The C classes."""
        return list(self.config.labels)

    @property
    def rules(self) -> list[EventRule]:
        """How each class is decided. What the user has set goes before what dev chose."""
        wanted, fixed = self.config.wanted
        made = []
        for *values, _ in self.get_buffer("decision").double().tolist():
            kept = [asked if stays else round(value, 6) for value, asked, stays in zip(values, wanted, fixed)]
            made.append(EventRule(*kept))
        return made

    def written(self, logits: Tensor) -> Floats:
        """(T, C) probabilities as they are decided. logits: (T, C)."""
        return logits.double().sigmoid().cpu().numpy().round(_DIGITS)

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, target and predicted ([start_s, end_s, label], found ones with a score), probabilities (C lists of T).

        Also `first_s` and `step_s`, when frames are, and `heard` (labels of the row) with `scores` (C). All times are
        from the start of the row.
        """
        with torch.no_grad():
            logits, attention, lengths = self.logits(batch)
            kind = self.config.pooling if self.weak else "max"
            scores = pooled(kind, logits, attention, lengths).double().cpu().numpy().round(6)
        return [
            self._prediction(cut, self.written(row[:count]), score.tolist())
            for cut, row, count, score in zip(batch.cuts, logits, lengths.tolist(), scores, strict=True)
        ]

    def predict_long(self, cut: Cut) -> Prediction:
        """As `predict`, without probabilities, encoded chunk by chunk."""
        events = [list(event) for event in detected(self, cut)]
        return self._counted({**self._facts_of(cut), "predicted": events})

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """The predictions without their probabilities. On dev rules are chosen first: its own are not held out.

        For PSDS, `filtered` is kept: C lists of T, behind the median filter of each class.
        """
        if split == "dev":
            self._choose([row for row in predictions if "probabilities" in row])
            predictions = [self._decided(row) if "probabilities" in row else row for row in predictions]
        if self.config.psds:
            rules, step_s = self.rules, self.clock.step_s
            kept = [{**row, "filtered": behind_filter(_array(row), rules, step_s)} for row in predictions]
            return [{name: value for name, value in row.items() if name != "probabilities"} for row in kept]
        left_out = ("probabilities", "first_s", "step_s")
        return [{name: value for name, value in row.items() if name not in left_out} for row in predictions]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """F1 of events where their times are known, and with weak labels map of rows. Raises LabelError without any.

        PSDS too where it is asked for, but not while training ranks weights. Raises ConfigError for rows without
        frames.
        """
        made: dict[str, Metric] = {}
        rows = _counted_rows(predictions)
        if any(row["num_units"] for row in rows):
            counts = [row["counts"] for row in rows]
            made |= event_metrics(counts, clusters_of_rows(rows, self.group_field))
            if self.config.psds and intervals_wanted():
                check_kept(rows)
                made |= psds_of_rows(rows, self.labels, self.group_field)
        if self.config.decides_by == "labels":
            heard = [row for row in predictions if row["heard"] is not None and "scores" in row]
            present = np.array([self._row_of(row["heard"]) for row in heard]).reshape(-1, len(self.index))
            if present.any():
                scores = np.array([row["scores"] for row in heard])
                made["map"] = multilabel_metrics(present, scores, clusters_of_rows(heard, self.group_field))["map"]
        if not made:
            raise LabelError(f"None of the {len(predictions)} predictions has a target with a call to score.")
        return made

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """labels, those without an event, over which no mean is taken, what was scored, and how it was decided."""
        labels, rows = self.labels, _counted_rows(predictions)
        present = (
            np.array([row["counts"] for row in rows]).reshape(len(rows), len(labels), -1)[..., :1].sum(axis=(0, 2))
        )
        pooled_folds = any("fold" in row for row in predictions)  # each fold has rules of its own
        rules = {label: rule._asdict() for label, rule in zip(labels, self.rules, strict=True)}
        chosen = self.get_buffer("decision")[:, 4].tolist()
        return {
            "labels": labels,
            "labels_left_out": [label for label, count in zip(labels, present, strict=True) if rows and not count],
            "scoring": str(self.config.scoring) + (f". {psds_written()}" if self.config.psds else ""),
            "rules": None if pooled_folds else rules,
            "undecided": [label for label, done in zip(labels, chosen, strict=True) if done < 0.5],
        }

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """The classes, and the recordings with the most errors."""
        rows = _counted_rows(predictions)
        return [class_table(rows, self.labels, self.facts(predictions)), worst_table(rows)] if rows else []

    def columns(self, prediction: Prediction) -> dict[str, str]:
        events = prediction["predicted"]
        shown = [f"{start:.2f}-{end:.2f} s {label} {score:.2f}" for start, end, label, score in events[:5]]
        more = f" and {len(events) - 5} more" if len(events) > 5 else ""
        return {"events": "; ".join(shown) + more or "-"}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.bioacoustic_events.figures import draw_detections

        return draw_detections(_counted_rows(predictions), self.labels, folder)

    def _begin_with_shares(self) -> None:
        """Let every frame begin with the logit that the shares of training rows imply."""
        config = self.config
        kind = config.pooling if self.weak else ""
        frames = config.row_s / self.clock.step_s
        with torch.no_grad():
            for place, share in enumerate(config.shares):
                likely = 0.5 if config.class_weights and kind != "noisy_or" else share
                self.head.output.bias[place] = first_bias(kind, likely, frames)

    def _present(self, cuts: Sequence[Cut]) -> npt.NDArray[np.float32]:
        """(B, C) 1 for what is heard in a row."""
        return np.array([self._row_of(heard_in(cut, self.config.label_field) or []) for cut in cuts], dtype=np.float32)

    def _row_of(self, labels: Sequence[str]) -> list[int]:
        return [int(label in labels) for label in self.config.labels]

    def _facts_of(self, cut: Cut) -> Prediction:
        return {
            "id": cut.id,
            "target": [list(call) for call in calls_of(cut)] if has_calls(cut) else None,
            "heard": heard_in(cut, self.config.label_field),
            "duration_s": round(float(cut.duration), 6),
            "start_s": round(float(cut.start), 6),
            "recording": recording_name(cut),
            "group": group_of(cut, self.config.group_field),
        }

    def _prediction(self, cut: Cut, probabilities: Floats, scores: list[float]) -> Prediction:
        made = {**self._facts_of(cut), "probabilities": probabilities.T.tolist(), **self.clock._asdict()}
        return self._decided({**made, "scores": scores})

    def _decided(self, row: Prediction) -> Prediction:
        """The row with the events that the rules make of its probabilities, and their counts."""
        probabilities, lasts_s = _array(row), row["duration_s"]
        events = events_in(probabilities, self.labels, self.rules, self.clock, lasts_s)
        return self._counted({**row, "predicted": [list(event) for event in events]})

    def _counted(self, row: Prediction) -> Prediction:
        if row["target"] is None:
            return row
        target, found = ([tuple(event[:3]) for event in row[name]] for name in ("target", "predicted"))
        counts = event_counts(target, found, self.labels, self.config.scoring)
        hits = sum(each.overlap_hits for each in counts)
        errors = {"num_errors": len(target) + len(found) - 2 * hits, "num_units": len(target)}
        return {**row, "counts": [list(each) for each in counts], **errors}

    def _choose(self, rows: Sequence[Prediction]) -> None:
        """Choose the rule of each class by rows of dev, and keep it with the weights."""
        wanted, fixed = self.config.wanted
        if self.config.decides_by == "events":
            known = [row for row in rows if row["target"] is not None]
            if not known:
                return
            line = DevLine([DevRow(_array(row), row["duration_s"], _events(row)) for row in known], self.clock)
            found = rules_by_events(line, self.labels, wanted, fixed, self.config.scoring.least_overlap)
        else:
            known = [row for row in rows if row["heard"] is not None]
            if not known:
                return
            peaks = np.array([_array(row).max(axis=0) for row in known])
            present = np.array([self._row_of(row["heard"]) for row in known])
            found = rules_by_labels(peaks, present, wanted, fixed)
        rows_of = [[*(rule or wanted), float(rule is not None)] for rule in found]
        self.get_buffer("decision").copy_(torch.tensor(rows_of))


def _counted_rows(predictions: Sequence[Prediction]) -> list[Prediction]:
    return [row for row in predictions if row.get("counts") is not None]


def _array(row: Prediction) -> Floats:
    """(T, C)."""
    return np.array(row["probabilities"], dtype=np.float64).T


def _events(row: Prediction) -> list[SoundEvent]:
    return [(float(start), float(end), str(label)) for start, end, label in row["target"]]
