"""Are these recordings of one speaker? A trained run's answer, with a probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from lhotse import CutSet
from lhotse.cut import Cut
from scipy.special import expit, logit

from audiossl.core.errors import AudioError, AudiosslError, ConfigError
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import cut_blocks, place_of
from audiossl.downstreams.speaker_verification.scoring import Judged
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.trials import Pairs
from audiossl.experiments.run import Run
from audiossl.training.task import Prediction


class Verdict(NamedTuple):
    """What is said of two speakers. Without a calibration, `llr`, `probability` and `same` are None.

    score: the cosine, or what `task.scoring` makes of both.
    llr: its log-likelihood ratio (natural).
    probability: that it is one speaker, from `prior`.
    same: whether that is at least 1/2.
    prior: how probable one speaker was before.
    """

    score: float
    llr: float | None
    probability: float | None
    same: bool | None
    prior: float


def verify(run: Run, enrol: Sequence[str], test: str, prior: float = 0.5) -> Verdict:
    """Compare the speaker of the recordings `enrol` with that of `test`, scored as the run's `task.scoring` says.

    run: of speaker_verification.
    enrol: recordings of one speaker.
    test: a recording of the one who may be the same.
    prior: how probable one speaker is before anything is heard. What dev was made of does not matter.
    Raises AudiosslError for a run of another task, ConfigError for a prior that is no probability, AudioError.
    """
    task = verifier_of(run)
    check_prior(prior)
    rows = [row_of(run, name) for name in [*enrol, test]]
    last = len(enrol)
    pairs = Pairs(["enrolled"], [list(range(last))], np.zeros(1, int), np.array([last]), np.ones(1, bool))
    judged = judge(run, task, pairs, rows)
    score = float(judged.scores[0])
    if judged.llrs is None:
        return Verdict(score, None, None, None, prior)
    llr = float(judged.llrs[0])
    probability = float(expit(llr + logit(prior)))
    return Verdict(score, llr, probability, probability >= 0.5, prior)


def verifier_of(run: Run) -> SpeakerVerification:
    """The task of a run. Raises AudiosslError for a run of another one."""
    if not isinstance(run.task, SpeakerVerification):
        raise AudiosslError(f"{run.folder} is a run of {run.config.downstream}; give one of speaker_verification.")
    return run.task


def check_prior(prior: float) -> None:
    """Raise ConfigError for what is no probability, or leaves nothing to decide."""
    if not 0 < prior < 1:
        raise ConfigError(f"prior={prior:g} must be above 0 and below 1.")


def judge(run: Run, task: SpeakerVerification, pairs: Pairs, rows: Sequence[Prediction]) -> Judged:
    """Scores and ratios of pairs among predictions of recordings.

    What `task.scoring` has to fit is fitted first, on embeddings that the run keeps of its train and dev rows. They are
    made where they are missing.

    run: whose rows what has to be fitted is fitted on.
    task: of the run.
    pairs: what is compared.
    rows: the predictions that the pairs are among.
    """
    if not task.config.scoring.is_plain:
        if task.scorer is None:
            task.prepare(run.items_of)
        assert task.scorer is not None
        return task.scorer.judge(pairs, rows)
    return task.judged(task.scores(pairs, np.array([row["embedding"] for row in rows])))


def row_of(run: Run, recording: str | Cut) -> Prediction:
    """The prediction of a file or a row. Raises AudioError for one in which nobody speaks."""
    if isinstance(recording, str):
        name, cuts = recording, cuts_of([recording])
    else:
        name, cuts = place_of(recording), CutSet.from_cuts([recording])
    if len(cuts) != 1:
        raise AudioError(f"{name} stands for {len(cuts)} recordings; name one file.")
    if all(np.ptp(block) == 0 for cut in cuts for block in cut_blocks(cut, cut.sampling_rate)):
        raise AudioError(f"{name} is silent from its beginning to its end, so nobody speaks in it; give a recording.")
    (row,) = run.predict(cuts)
    if not np.isfinite(row["embedding"]).all():
        raise AudioError(f"{name} has an embedding that is not a number; it may hold nothing but silence.")
    return row
