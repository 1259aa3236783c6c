"""Trials scored again from the embeddings that an evaluation kept: no encoder is loaded and no sound is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError
from audiossl.core.files import write_jsonl
from audiossl.core.types import Metric
from audiossl.downstreams.speaker_verification.config import SpeakerVerificationConfig
from audiossl.downstreams.speaker_verification.judging import TrialJudge, pairs_among, trial_rows
from audiossl.downstreams.speaker_verification.scoring import fit_scorer
from audiossl.experiments.config import Experiment
from audiossl.experiments.embedding_store import EmbeddingStore, is_manifest, items_named
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.run import check_evaluable, write_scored
from audiossl.training.task import Prediction

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

    def rows_of(name: str, parts_s: float | None = None) -> Sequence[Prediction]:
        return _kept(run, config, checkpoint or config.checkpoint, name, parts_s)

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


def _kept(
    run: RunFolder, config: Experiment, checkpoint: str, name: str, parts_s: float | None
) -> Sequence[Prediction]:
    cuts = items_named(config.data, name, parts_s)
    found = EmbeddingStore(run.path, run.checkpoint(checkpoint), name, cuts, parts_s).read()
    if found is None:
        parts = "" if parts_s is None else f" in parts of {parts_s:g} s"
        whole_split = parts_s is None and not is_manifest(name)
        fix = f"`audiossl evaluate {run} --split {name}`" if whole_split else "evaluate with these settings once"
        raise AudiosslError(f"{run} has no embeddings of {name}{parts} by its {checkpoint} weights; make them: {fix}.")
    return found
