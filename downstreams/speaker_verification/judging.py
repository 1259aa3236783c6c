"""What is said of scored trials: the rows that are stored, metrics, facts, tables, pictures and the file of scores.

Nothing here needs an encoder, so that stored embeddings and stored predictions are enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiossl.core.errors import ConfigError
from audiossl.core.types import Metric, Table
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.downstreams.speaker_verification.score_files import write_scores
from audiossl.downstreams.speaker_verification.scoring import Judged, Scorer
from audiossl.downstreams.speaker_verification.tables import error_table, most_confident_errors, speaker_table
from audiossl.downstreams.speaker_verification.trials import (
    Pairs,
    all_pairs,
    listed_pairs,
    predictions_of,
    read_enrolment,
    read_trials,
)
from audiossl.metrics.calibration import Calibration
from audiossl.metrics.verification import (
    det_curve,
    equal_error_threshold,
    min_cllr,
    sides_of,
    verification_metrics,
)
from audiossl.training.task import Monitor, Prediction

MONITOR = Monitor("eer", "min")


def pairs_of(
    config: SpeakerVerificationConfig,
    ids: Sequence[str],
    paths: Sequence[str | None],
    speakers: Sequence[str | None],
    split: str,
) -> Pairs:
    """The trials of a split: those of its list, or all pairs.

    config: of the task.
    ids, paths, speakers: of the items.
    split: its name.
    Raises ConfigError, ManifestError, LabelError.
    """
    listed, enrolled = config.trials.get(split), config.enrolment.get(split)
    if listed:
        models = read_enrolment(enrolled) if enrolled else {}
        return listed_pairs(read_trials(listed), models, ids, paths, split)
    if enrolled:
        raise ConfigError(f"task.enrolment.{split} needs the trials of its models; set task.trials.{split}.")
    return all_pairs(ids, speakers, split, config.max_pairs)


def pairs_among(config: SpeakerVerificationConfig, rows: Sequence[Mapping[str, Any]], split: str) -> Pairs:
    """The trials of a split among the predictions of its items."""
    paths = [row["audio"]["path"] for row in rows]
    return pairs_of(config, [row["id"] for row in rows], paths, [row["speaker"] for row in rows], split)


def trial_rows(pairs: Pairs, rows: Sequence[Mapping[str, Any]], judged: Judged) -> list[Prediction]:
    """A prediction for each trial. Those that a report plays also say where both sounds are."""
    made: list[Prediction] = predictions_of(pairs, rows, *judged)
    for place in most_confident_errors(judged.scores, pairs.target):
        made[place]["audio_enrol"] = rows[pairs.models[pairs.enrol[place]][0]]["audio"]
        made[place]["audio_test"] = rows[pairs.test[place]]["audio"]
    return made


def trial_facts(predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers of both kinds of trials, the threshold of equal errors, and minCllr."""
    scores = np.array([row["score"] for row in predictions])
    targets = np.array([row["target"] for row in predictions], dtype=bool)
    return {
        "num_target_trials": int(targets.sum()),
        "num_nontarget_trials": int((~targets).sum()),
        "eer_threshold": equal_error_threshold(det_curve(scores, targets)),
        "min_cllr": min_cllr(scores, targets),
    }


@dataclass(frozen=True)
class TrialJudge:
    """Scores predictions of trials.

    calibration: from their scores to ratios. None where there is none.
    scorer: what scored them. None for the cosine.
    score_file: the form of the file of scores, '' for none.
    monitor: the metric by which runs are chosen.
    """

    calibration: Calibration | None
    scorer: Scorer | None = None
    score_file: str = ""
    monitor: Monitor = MONITOR

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """eer, min_dcf_p01, min_dcf_p05 and, of calibrated scores, act_dcf_p01, act_dcf_p05 and cllr.

        Speakers vary as a whole, or recordings where none has a speaker.
        """
        llrs = [row["llr"] for row in predictions]
        return verification_metrics(
            [row["score"] for row in predictions],
            [row["target"] for row in predictions],
            sides_of(predictions),
            None if None in llrs else llrs,
        )

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Those of `trial_facts`, the calibration, and how trials were scored."""
        return {
            **trial_facts(predictions),
            "calibration": None if self.calibration is None else self.calibration._asdict(),
            "scoring": {"backend": "cosine"} if self.scorer is None else self.scorer.facts(),
        }

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """The most confident errors, and errors by speaker."""
        return [error_table(predictions), speaker_table(predictions)]

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        """The DET curve and the distributions of scores."""
        from audiossl.downstreams.speaker_verification.figures import draw_det, draw_scores

        scores = np.array([row["score"] for row in predictions])
        targets = np.array([row["target"] for row in predictions], dtype=bool)
        return {
            "DET curve": draw_det(scores, targets, folder / "det.png"),
            "Scores": draw_scores(scores, targets, self.calibration, folder / "scores.png"),
        }

    def write_files(self, folder: Path, predictions: Sequence[Prediction]) -> None:
        """The file of scores, where one is asked for."""
        if self.score_file:
            write_scores(folder, self.score_file, predictions)
