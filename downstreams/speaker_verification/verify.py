"""Are these recordings of one speaker? A trained run's answer, with a probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from audiossl.core.errors import AudioError, AudiosslError, ConfigError
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import cut_blocks
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.trials import Pairs
from audiossl.experiments.run import Run


class Verdict(NamedTuple):
    """What is said of two speakers. Without a calibration, `llr`, `probability` and `same` are None.

    score: the cosine.
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
    """Compare the speaker of the recordings `enrol` with that of `test`.

    run: of speaker_verification.
    enrol: recordings of one speaker.
    test: a recording of the one who may be the same.
    prior: how probable one speaker is before anything is heard. What dev was made of does not matter.
    Raises AudiosslError for a run of another task, ConfigError for a prior that is no probability, AudioError.
    """
    task = run.task
    if not isinstance(task, SpeakerVerification):
        raise AudiosslError(f"{run.folder} is a run of {run.config.downstream}; give one of speaker_verification.")
    if not 0 < prior < 1:
        raise ConfigError(f"prior={prior:g} must be above 0 and below 1.")
    vectors = np.array([_embedding(run, name) for name in [*enrol, test]])
    last = len(enrol)
    pairs = Pairs(["enrolled"], [list(range(last))], np.zeros(1, int), np.array([last]), np.ones(1, bool))
    score = float(task.scores(pairs, vectors)[0])
    if task.calibration is None:
        return Verdict(score, None, None, None, prior)
    llr = float(task.calibration.llrs([score])[0])
    probability = float(expit(llr + logit(prior)))
    return Verdict(score, llr, probability, probability >= 0.5, prior)


def _embedding(run: Run, name: str) -> list[float]:
    cuts = cuts_of([name])
    if len(cuts) != 1:
        raise AudioError(f"{name} stands for {len(cuts)} recordings; name one file.")
    if all(np.ptp(block) == 0 for cut in cuts for block in cut_blocks(cut, cut.sampling_rate)):
        raise AudioError(f"{name} is silent from its beginning to its end, so nobody speaks in it; give a recording.")
    (row,) = run.predict(cuts)
    vector: list[float] = row["embedding"]
    if not np.isfinite(vector).all():
        raise AudioError(f"{name} has an embedding that is not a number; it may hold nothing but silence.")
    return vector
