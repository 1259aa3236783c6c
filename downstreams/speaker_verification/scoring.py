"""Scores of trials from stored embeddings: back end, cohort and calibration, fitted on train and dev and never on test.

    scorer = fit_scorer(ScoringConfig(backend="plda", norm="as_norm"), rows_of, compare_dev)
    scorer.judge(pairs, rows)       # scores and log-likelihood ratios

Nothing here runs an encoder: rows are predictions of items, each with an `embedding`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import AudioError, LabelError
from audiossl.downstreams.speaker_verification.backends import Backend, fit_backend
from audiossl.downstreams.speaker_verification.quality import both_ends, of_models, snr_of
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig
from audiossl.downstreams.speaker_verification.trials import Pairs, normalised, products_of
from audiossl.metrics.calibration import Calibration, JointCalibration, fit_joint_calibration
from audiossl.metrics.clusters import Floats
from audiossl.metrics.score_normalization import CohortStatistics, cohort_statistics, normalize_scores
from audiossl.metrics.verification import equal_error_rate
from audiossl.training.task import RowsOf

_log = logging.getLogger(__name__)
_TELLING = 0.25  # error rate below which measures alone know more than how far a score is to be trusted
Row = Mapping[str, Any]


class Cohort(NamedTuple):
    """Rows of its members as models and as recordings, both (C, F), and who they are."""

    models: Floats
    tests: Floats
    speakers: frozenset[str]


class Judged(NamedTuple):
    """scores (N,) and log-likelihood ratios (N,). The latter are None without a calibration."""

    scores: Floats
    llrs: Floats | None


class _Sides(NamedTuple):
    """Of the M models and the N recordings of a set of trials.

    scores: (T,) of the trials, before normalisation.
    enrol: statistics of the models, None without a cohort.
    test: of the recordings, likewise.
    """

    scores: Floats
    enrol: CohortStatistics | None
    test: CohortStatistics | None


@dataclass(frozen=True)
class Scorer:
    """What was fitted: a back end, a cohort (None where nothing asks for one), a calibration (None before it)."""

    config: ScoringConfig
    backend: Backend
    cohort: Cohort | None = None
    calibration: JointCalibration | None = None

    def judge(self, pairs: Pairs, rows: Sequence[Row]) -> Judged:
        """Scores and ratios of trials among items. With quality measures, the score is the ratio.

        Raises AudioError for an item whose embedding has no direction, or is not finite.
        """
        figures = self.figures(pairs, rows)
        if self.calibration is None:
            return Judged(figures[:, 0], None)
        llrs = self.calibration.llrs(figures)
        return Judged(llrs if self.config.measures else figures[:, 0], llrs)

    @property
    def line(self) -> Calibration | None:
        """From reported scores to ratios."""
        if self.calibration is None:
            return None
        if self.config.measures:
            return Calibration(1.0, 0.0)
        return Calibration(self.calibration.weights[0], self.calibration.offset)

    def facts(self) -> dict[str, Any]:
        """What metrics.json says: the settings, and what was made of them."""
        size = None if self.cohort is None else len(self.cohort.tests)
        projection, plda, calibration = self.backend.projection, self.backend.plda, self.calibration
        return {
            **asdict(self.config),
            "within_speaker": self.config.within_speaker,
            "lda": None if projection is None else projection.shape[1],
            "cohort_size": size,
            "top_k": None if size is None else min(self.config.top_k, size),
            "plda_log_likelihood": None if plda is None else plda.log_likelihoods[-1],
            "weights": None if calibration is None else list(calibration.weights),
            "offset": None if calibration is None else calibration.offset,
        }

    def figures(self, pairs: Pairs, rows: Sequence[Row]) -> Floats:
        """(T, F) of T trials: the score, normalised where it is to be, then the quality measures."""
        embeddings = _embeddings(rows)
        sides = self._sides(pairs, self.backend.compared(embeddings))
        scores = sides.scores
        if self.config.norm != "none" and sides.enrol is not None and sides.test is not None:
            scores = normalize_scores(scores, sides.enrol.of(pairs.enrol), sides.test.of(pairs.test))
        measured = [self._measured(name, pairs, rows, embeddings, sides) for name in self.config.measures]
        return np.concatenate([scores[:, None], *measured], axis=1)

    def check_cohort(self, speakers: Sequence[str | None], split: str) -> None:
        """Raise LabelError where speakers of the cohort are tested."""
        if self.cohort is not None and (both := sorted(self.cohort.speakers & {*speakers})):
            own = self.config.cohort
            fix = f"take them out of {own}" if own else "give a manifest of others as task.scoring.cohort"
            raise LabelError(
                f"{len(both)} speaker(s) of the cohort are also in {split}, the first is {both[0]!r}: scores would be "
                f"normalised by the voices that are tested; {fix}."
            )

    def _sides(self, pairs: Pairs, compared: Floats) -> _Sides:
        models, tests = self.backend.models(compared, pairs.models), self.backend.tests(compared)
        scores = products_of(pairs, models, tests)
        if self.cohort is None:
            return _Sides(scores, None, None)
        top_k = None if self.config.norm == "s_norm" else self.config.top_k
        enrol, test = (models, self.cohort.tests), (tests, self.cohort.models)
        return _Sides(scores, cohort_statistics(*enrol, top_k), cohort_statistics(*test, top_k))

    def _measured(self, name: str, pairs: Pairs, rows: Sequence[Row], embeddings: Floats, sides: _Sides) -> Floats:
        """(T, 2) of a measure."""
        if name == "cohort":
            assert sides.enrol is not None
            assert sides.test is not None
            return both_ends(sides.enrol.mean[pairs.enrol], sides.test.mean[pairs.test])
        if name == "duration":
            values = np.array([row["duration_s"] for row in rows], dtype=np.float64)
            models, values = np.log(of_models(values, pairs.models, total=True)), np.log(values)
        else:
            values = np.linalg.norm(embeddings, axis=1) if name == "magnitude" else np.array([*map(snr_of, rows)])
            models = of_models(values, pairs.models)
        return both_ends(models[pairs.enrol], values[pairs.test])


def fit_scorer(
    config: ScoringConfig,
    rows_of: RowsOf,
    pairs_of_dev: Callable[[Sequence[Row]], Pairs],
    *,
    subtract_mean: bool = False,
) -> Scorer:
    """A scorer, fitted on train (back end and cohort) and dev (calibration).

    config: what to fit.
    rows_of: predictions of the items of a split (in parts, where `parts_s` says so), or of the manifest of a cohort.
    pairs_of_dev: the trials of dev among its rows.
    subtract_mean: whether dev's mean is taken out of embeddings.
    Raises LabelError for training items of one speaker, ConfigError for a cohort that says nothing.
    """
    dev = list(rows_of("dev"))
    offset = normalised(_embeddings(dev)).mean(axis=0) if subtract_mean else None
    fitted_on = rows_of("train", config.parts_s) if config.fits_backend else []
    known = [row for row in fitted_on if row["speaker"] is not None]
    backend = fit_backend(config, _embeddings(known), [row["speaker"] for row in known], offset)
    scorer = Scorer(config, backend)
    if config.needs_cohort:
        scorer = replace(scorer, cohort=_cohort(config, backend, rows_of(config.cohort or "train")))
        try:
            scorer.check_cohort([row["speaker"] for row in dev], "dev")
        except LabelError as error:
            _log.warning("Warning: %s The calibration is void until then.", error)
    pairs = pairs_of_dev(dev)
    if pairs.target.all() or not pairs.target.any():
        return scorer
    figures = scorer.figures(pairs, dev)
    if config.measures:
        _warn_of_measures(config.measures, figures[:, 1:], pairs.target)
    return replace(scorer, calibration=fit_joint_calibration(figures, pairs.target))


def _warn_of_measures(names: Sequence[str], measured: Floats, target: NDArray[np.bool_]) -> None:
    """Halves of one recording are equally long and equally noisy, which would pass for one speaker on test."""
    error_rate = equal_error_rate(fit_joint_calibration(measured, target).llrs(measured), target)
    if error_rate < _TELLING:
        _log.warning(
            "Warning: %s of both sides tell trials of dev apart without any score (EER %.0f %%), as where its "
            "recordings are parts of one; leave the telling ones out of task.scoring.measures, or give other trials.",
            " and ".join(names),
            100 * error_rate,
        )


def _cohort(config: ScoringConfig, backend: Backend, rows: Sequence[Row]) -> Cohort:
    """A member for each speaker of the rows, and one for each recording without a speaker."""
    compared = backend.compared(_embeddings(rows))
    members: dict[tuple[bool, str], list[int]] = {}
    for place, row in enumerate(rows):
        speaker = row["speaker"]
        members.setdefault((speaker is not None, row["id"] if speaker is None else speaker), []).append(place)
    if config.norm != "s_norm" and config.top_k > len(members):
        text = "Warning: The cohort has %d members, fewer than task.scoring.top_k=%d; all of them are taken."
        _log.warning(text, len(members), config.top_k)
    # Each member is one vector, so that as a model it counts as one recording.
    means = normalised(np.stack([compared[places].mean(axis=0) for places in members.values()]))
    alone = [[place] for place in range(len(means))]
    speakers = frozenset(name for known, name in members if known)
    return Cohort(backend.models(means, alone), backend.tests(means), speakers)


def _embeddings(rows: Sequence[Row]) -> Floats:
    """(N, E). Raises AudioError for one that is zero, or not finite."""
    found = np.array([row["embedding"] for row in rows], dtype=np.float64)
    if not len(rows):
        return found.reshape(0, 0)
    wrong = np.flatnonzero(~(np.isfinite(found).all(axis=1) & found.any(axis=1)))
    if len(wrong):
        raise AudioError(
            f"{rows[wrong[0]]['id']!r} has an embedding that is zero or not a number, so it resembles nobody; look for "
            f"silence, or for a run that diverged, and drop the recording."
        )
    return found
