"""Trials scored again from the embeddings that an evaluation kept: no encoder is loaded and no sound is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError
from audiossl.core.files import write_jsonl
from audiossl.core.types import Metric
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.downstreams.speaker_verification.judging import TrialJudge, pairs_among, trial_rows
from audiossl.downstreams.speaker_verification.scoring import Row, fit_scorer
from audiossl.experiments.config import Experiment
from audiossl.experiments.embedding_store import EmbeddingStore, is_manifest
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.run import check_evaluable, write_scored

TASK = "speaker_verification"


def score_again(
    folder: Path, split: str = "test", checkpoint: str = "", overrides: Sequence[str] = ()
) -> dict[str, Metric]:
    """Score the trials of a split by other settings, and write what an evaluation writes. Returns the metrics.

    folder: of a run of speaker_verification, of which train, dev and the split have embeddings as far as they are used.
    split: whose trials are scored.
    checkpoint: best, last or averaged. '' for what the run is configured to use.
    overrides: changes to its configuration, for instance task.scoring.backend=plda.
    Raises AudiosslError for another run, and for embeddings that are not there.
    """
    run = RunFolder(folder)
    config = run.config(overrides)
    if run.kind != "single" or config.downstream != TASK:
        raise AudiosslError(f"{folder} is no single run of {TASK}; give one, or a member of a sweep.")
    check_evaluable(run, split)
    task = structured(SpeakerVerificationConfig, config.task, where=f"task options of {TASK}")

    def rows_of(name: str) -> Sequence[Row]:
        return _kept(run, config, name, checkpoint or config.checkpoint)

    scorer = fit_scorer(
        task.scoring, rows_of, lambda rows: pairs_among(task, rows, "dev"), subtract_mean=task.subtract_mean
    )
    rows = rows_of(split)
    pairs = pairs_among(task, rows, split)
    scorer.check_cohort([row["speaker"] for row in rows], split)
    predictions = trial_rows(pairs, rows, scorer.judge(pairs, rows))
    write_jsonl(run.split(split).predictions, predictions)
    judge = TrialJudge(scorer.line, scorer, task.scoring.score_file)
    return write_scored(folder, config, judge, split, predictions)


def _kept(run: RunFolder, config: Experiment, name: str, checkpoint: str) -> Sequence[Row]:
    cuts = read_manifest(name) if is_manifest(name) else config.data.rows(name)
    found = EmbeddingStore(run.path, run.checkpoint(checkpoint), name, cuts).read()
    if found is None:
        fix = "evaluate with these settings once" if is_manifest(name) else f"`audiossl evaluate {run} --split {name}`"
        raise AudiosslError(f"{run} has no embeddings of {name} by its {checkpoint} weights; make them: {fix}.")
    return found
