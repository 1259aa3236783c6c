"""Speaker verification: a classifier of the training speakers, whose embeddings are compared by their cosine."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.errors import AudioError, ConfigError, LabelError
from audiossl.core.processes import is_main
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import speed_of
from audiossl.data.fields import read_field
from audiossl.data.reading import num_samples_of, path_of
from audiossl.downstreams.speaker_verification.classes import carried_rows, classes_of, make_criterion, speeds_of
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.downstreams.speaker_verification.fusing import fuse_trials
from audiossl.downstreams.speaker_verification.heads import make_head
from audiossl.downstreams.speaker_verification.judging import (
    MONITOR,
    TrialJudge,
    pairs_among,
    pairs_of,
    trial_rows,
)
from audiossl.downstreams.speaker_verification.scoring import Judged, Scorer, fit_scorer
from audiossl.downstreams.speaker_verification.trials import (
    Pairs,
    check_pairs,
    normalised,
    read_enrolment,
    read_trials,
    scores_of,
)
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.calibration import Calibration, fit_calibration
from audiossl.metrics.clusters import Floats
from audiossl.training.downstream import Downstream
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.interface import Interface
from audiossl.training.task import Prediction, RowsOf

_log = logging.getLogger(__name__)


class SpeakerVerification(Downstream):
    """Trained to tell the training speakers apart. Dev and test speakers need not be among them.

    Each evaluation of dev fits the calibration of scores to log-likelihood ratios, which is saved with the weights that
    made them. A mean of several checkpoints has the mean of their calibrations.
    """

    Config = SpeakerVerificationConfig
    monitor = MONITOR
    keeps_embeddings = True

    def __init__(self, upstream: Upstream, interface: Interface, config: SpeakerVerificationConfig) -> None:
        super().__init__(upstream, interface)
        if len(config.speakers) < 2:
            raise ConfigError("speakers: at least two are needed; `complete` takes them from the training items.")
        self.config = config
        self.scorer: Scorer | None = None
        self.index = classes_of(config).places
        self.head = make_head(config, interface.width, interface.num_parts)
        self.criterion = make_criterion(config, self.head.loss_width)
        self.register_buffer("scale_and_offset", torch.zeros(2, dtype=torch.float64))  # a scale of 0: not calibrated
        if config.subtract_mean:
            self.register_buffer("mean_embedding", torch.zeros(self.head.out_width, dtype=torch.float64))

    @classmethod
    def complete_by_data(cls, config: SpeakerVerificationConfig, data: LoaderConfig) -> SpeakerVerificationConfig:
        """Fill `speeds`. Raises ConfigError where they are to be classes, and there are none."""
        return replace(config, speeds=speeds_of(config, data))

    @classmethod
    def complete(cls, config: SpeakerVerificationConfig, cuts: Iterable[Cut]) -> SpeakerVerificationConfig:
        """Fill `speakers` (sorted), and read the lists, so that a wrong line is found before training.

        Raises LabelError for fewer than two speakers, ManifestError for a list.
        """
        for path in config.trials.values():
            read_trials(path)
        for path in config.enrolment.values():
            read_enrolment(path)
        speakers = sorted(Counter(speaker for cut in cuts if (speaker := read_field(cut, "speaker")) is not None))
        if len(speakers) < 2:
            found = f"only {speakers[0]!r}" if speakers else "none"
            raise LabelError(f"Training needs items of at least two speakers, and the training items have {found}.")
        return replace(config, speakers=speakers)

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """What an item needs depends on the split: see `check_split`."""

    def check_split(self, cuts: Iterable[Cut], split: str) -> None:
        """Raise LabelError for training items without a speaker, and for any other split what its trials lack.

        Raises AudioError for items of such a split with fewer frames than the head needs.
        """
        if split == "train":
            for cut in cuts:
                self._number_of(cut)
            return
        rows = list(cuts)
        for cut in rows:
            samples = num_samples_of(cut, self.upstream.sample_rate_hz)
            self._check_frames(cut, int(self.upstream.num_frames(samples)), f"drop it from {split}")
        speakers = [read_field(cut, "speaker") for cut in rows]
        pairs = pairs_of(self.config, [cut.id for cut in rows], [path_of(cut) for cut in rows], speakers, split)
        check_pairs(pairs, speakers, split, self.config.trials.get(split, ""))
        known = sorted(set(self.config.speakers).intersection(filter(None, speakers)))
        if split == "dev" and known and is_main():
            _log.warning(
                "Warning: %d speaker(s) of dev are trained on, for instance %r: the calibration (act_dcf, cllr, "
                "`audiossl verify`) is void, as it is fitted on voices that the model knows; the EER is untouched.",
                len(known),
                known[0],
            )

    def carried(self, state: Mapping[str, Tensor], before: SpeakerVerificationConfig) -> Mapping[str, Tensor]:
        """Of the directions of classes, those of the speakers (at the speeds) that are classes now."""
        now, then, made = classes_of(self.config), classes_of(before), dict(state)
        for name, own in self.criterion.state_dict(prefix="criterion.").items():
            if name in made:
                made[name] = carried_rows(own, made[name], now, then)
        return made

    @property
    def commutes_with_mean(self) -> bool:
        """All that comes before the pooled head's mean is linear."""
        return self.config.head == "pooled" and self.config.pooling == "mean"

    def begin_step(self, step: int) -> None:
        super().begin_step(step)
        warmup = self.config.margin_warmup_steps
        self.criterion.margin = self.config.margin * (min(1.0, step / warmup) if warmup else 1.0)

    def embeddings(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What trials compare (B, E) and what the loss sees. Raises AudioError for an item with too few frames."""
        sequence, lengths = self.sequence(batch)
        if self.head.min_frames > 1 or self.head.max_frames is not None:
            for cut, frames in zip(batch.cuts, lengths.tolist(), strict=True):
                self._check_frames(cut, frames, "drop it, or set data.min_duration_s in training")
        return self._embedded(sequence, lengths)

    def _embedded(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        # An encoder may run in half precision, the head does not.
        compared, trained = self.head(sequence.to(self.criterion.weight.dtype), lengths)
        return compared, trained

    @property
    def min_frames(self) -> int:
        return self.head.min_frames

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The `embedding` (B, E) of a prediction."""
        return {"embedding": self._embedded(sequence, lengths)[0].float()}

    def loss(self, batch: Batch) -> Loss:
        """The margin loss of the speakers, a mean over the items. Logs the accuracy without the margin."""
        _, embeddings = self.embeddings(batch)
        targets = torch.tensor([self._number_of(cut) for cut in batch.cuts], device=embeddings.device)
        losses, scores = self.criterion(embeddings, targets)
        correct = (scores.detach().argmax(dim=-1) == targets).float()
        weight = torch.tensor(float(len(targets)), device=losses.device)
        return Loss(losses.mean(), weight, {"accuracy": correct.mean()})

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, embedding (E), speaker (None where it is not known), duration_s, and where the sound is."""
        with torch.no_grad():
            embeddings = self.embeddings(batch)[0].float().cpu()
        return [
            {
                "id": cut.id,
                "embedding": embedding.tolist(),
                "speaker": read_field(cut, "speaker"),
                "duration_s": round(float(cut.duration), 4),
                "audio": {
                    "path": path_of(cut),
                    "start_s": round(cut.start, 6),
                    "duration_s": round(cut.duration, 6),
                },
            }
            for cut, embedding in zip(batch.cuts, embeddings, strict=True)
        ]

    def prepare(self, rows_of: RowsOf) -> None:
        """Fit what `task.scoring` names, unless it is the cosine, whose calibration is that of the checkpoint.

        Raises ConfigError for parts with fewer frames than the head needs.
        """
        config, parts_s = self.config, self.config.scoring.parts_s
        if config.scoring.is_plain:
            self.scorer = None
            return
        if parts_s is not None:
            frames = self.upstream.num_frames(round(parts_s * self.upstream.sample_rate_hz))
            if frames < self.head.min_frames:
                raise ConfigError(
                    f"task.scoring.parts_s={parts_s:g} is {frames} frames, and the {config.head} head needs "
                    f"{self.head.min_frames}; take longer parts."
                )
        self.scorer = fit_scorer(
            config.scoring,
            rows_of,
            lambda rows: pairs_among(config, rows, "dev"),
            subtract_mean=config.subtract_mean,
        )

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        return fuse_trials(runs, weights)

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """The trials of a split: see `predictions_of`. Those that a report plays also say where both sounds are.

        On dev, the mean embedding and the calibration are fitted first. Its own ratios are therefore not held out.
        Scores are cosines, unless `prepare` has fitted something else.
        """
        items = sorted(predictions, key=lambda row: str(row["id"]))
        pairs = pairs_among(self.config, items, split)
        if self.scorer is not None:
            self.scorer.check_cohort([row["speaker"] for row in items], split)
            return trial_rows(pairs, items, self.scorer.judge(pairs, items))
        vectors = np.array([row["embedding"] for row in items], dtype=np.float64)
        if split == "dev" and self.config.subtract_mean:
            self._keep("mean_embedding", normalised(vectors).mean(axis=0))
        scores = self.scores(pairs, vectors)
        if split == "dev" and pairs.target.any() and not pairs.target.all():
            self._keep("scale_and_offset", np.array(fit_calibration(scores, pairs.target)))
        return trial_rows(pairs, items, self.judged(scores))

    def judged(self, scores: Floats) -> Judged:
        """Cosines (N,) with their ratios, where they are calibrated."""
        calibration = self.calibration
        return Judged(scores, calibration.llrs(scores) if calibration else None)

    def scores(self, pairs: Pairs, embeddings: Floats) -> Floats:
        """(N,) cosines, the mean embedding taken out first where it is to be."""
        return scores_of(pairs, self.compared(embeddings))

    def compared(self, embeddings: Floats) -> Floats:
        """(N, E) the vectors whose cosines are the scores: of length 1, less the mean embedding where it is to be."""
        units = normalised(embeddings)
        return units - self.get_buffer("mean_embedding").cpu().numpy() if self.config.subtract_mean else units

    @property
    def calibration(self) -> Calibration | None:
        """From scores to log-likelihood ratios. None before it was fitted on dev."""
        if self.scorer is not None:
            return self.scorer.line
        scale, offset = self.get_buffer("scale_and_offset").tolist()
        return Calibration(scale, offset) if scale else None

    @property
    def judge(self) -> TrialJudge:
        """What scores predictions of trials."""
        return TrialJudge(self.calibration, self.scorer, self.config.scoring.score_file)

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return self.judge.score(predictions)

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        return self.judge.facts(predictions)

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        return self.judge.tables(predictions)

    def columns(self, prediction: Prediction) -> dict[str, str]:
        vector = prediction["embedding"]
        return {"embedding": f"{len(vector)} numbers, first {vector[0]:.3f} (all with --json or --out)"}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        return self.judge.figures(folder, predictions)

    def write_files(self, folder: Path, predictions: Sequence[Prediction]) -> None:
        self.judge.write_files(folder, predictions)

    def _number_of(self, cut: Cut) -> int:
        speaker = read_field(cut, "speaker")
        if speaker is None:
            raise LabelError(f"The training item {cut.id!r} has no speaker; fill it in, or drop the item.")
        number = self.index.get((speaker, speed_of(cut) if self.config.speeds else 1.0))
        if number is None:
            raise LabelError(
                f"The speaker {speaker!r} of the training item {cut.id!r} is not among task.speakers; leave that out."
            )
        return number

    def _check_frames(self, cut: Cut, frames: int, fix: str) -> None:
        if frames < self.head.min_frames:
            raise AudioError(
                f"Item {cut.id!r} lasts {cut.duration:g} s, {frames} frames of this encoder, and the "
                f"{self.config.head} head needs {self.head.min_frames}; {fix}, or take task.head=pooled."
            )
        if self.head.max_frames is not None and frames > self.head.max_frames:
            raise AudioError(
                f"Item {cut.id!r} lasts {cut.duration:g} s, {frames} frames of this encoder, all of which the "
                f"{self.config.head} head compares with each other, {self.head.max_frames} at most; cut the recording "
                f"into parts, or take task.head=ecapa."
            )

    def _keep(self, name: str, values: Floats) -> None:
        buffer = self.get_buffer(name)
        buffer.copy_(torch.from_numpy(values).to(buffer))
