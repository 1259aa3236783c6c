"""From embeddings to scores: every back end makes rows of models and rows of recordings, whose product is the score.

Embeddings are made of length 1, dev's mean is taken out where that is asked for, then come LDA and WCCN (each after the
training mean is taken out), length 1 again, and the cosine or PLDA. All of it is fitted on training embeddings.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig
from audiossl.downstreams.speaker_verification.trials import normalised
from audiossl.metrics.clusters import Floats
from audiossl.metrics.plda import Classes, Plda, classes_of, fit_plda, lda, rows_of_models, rows_of_tests, wccn

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """What was fitted.

    offset: (E,) taken out of embeddings of length 1. None for nothing.
    centre: (E,) taken out before the projection, None where there is none.
    projection: (E, D) LDA and WCCN as one. None where there is none.
    plda: None for the cosine.
    """

    offset: Floats | None = None
    centre: Floats | None = None
    projection: Floats | None = None
    plda: Plda | None = None

    def compared(self, embeddings: Floats) -> Floats:
        """(N, D) vectors of length 1 in the space where they are compared, from embeddings (N, E)."""
        units = normalised(embeddings)
        if self.offset is not None:
            units = normalised(units - self.offset)
        if self.centre is not None and self.projection is not None:
            units = normalised((units - self.centre) @ self.projection)
        return units

    def models(self, compared: Floats, members: Sequence[Sequence[int]]) -> Floats:
        """(M, F) rows of models, each of several of the compared vectors (N, D)."""
        means = np.stack([compared[list(places)].mean(axis=0) for places in members])
        if self.plda is None:
            return normalised(means)
        return rows_of_models(self.plda, means, np.array([len(places) for places in members]))

    def tests(self, compared: Floats) -> Floats:
        """(N, F) rows of recordings from compared vectors (N, D)."""
        return compared if self.plda is None else rows_of_tests(self.plda, compared)


def fit_backend(config: ScoringConfig, embeddings: Floats, speakers: Sequence[str], offset: Floats | None) -> Backend:
    """The back end that the configuration names.

    config: of the scoring.
    embeddings: (N, E) of training items. They are not looked at where nothing is fitted.
    speakers: (N,) theirs.
    offset: taken out of embeddings of length 1. None for nothing.
    Raises LabelError for training items of one speaker, ConfigError for more dimensions than they tell apart.
    """
    plain = Backend(offset)
    if not config.fits_backend:
        return plain
    units = plain.compared(embeddings)
    classes = classes_of(units, speakers, config.shrinkage)
    width = _width(config, classes)
    projection = np.eye(units.shape[1]) if width is None else lda(classes, width)
    if config.wccn:
        projection = projection @ wccn(classes_of(units @ projection, speakers, config.shrinkage))
    whole = width is None and not config.wccn
    backend = plain if whole else Backend(offset, units.mean(axis=0), projection)
    if config.backend == "cosine":
        return backend
    classes = classes_of(backend.compared(embeddings), speakers, config.shrinkage)
    plda = fit_plda(classes, config.plda_steps)
    return Backend(offset, backend.centre, backend.projection, plda)


def _width(config: ScoringConfig, classes: Classes) -> int | None:
    """Dimensions after LDA, None for no LDA. Raises ConfigError."""
    full = classes.means.shape[1]
    most = min(full, len(classes.counts) - 1, classes.num_within)
    if config.lda is not None:
        if config.lda > most:
            raise ConfigError(
                f"task.scoring.lda={config.lda} is more than the {most} dimensions that {len(classes.counts)} training "
                f"speakers with {int(classes.counts.sum())} recordings tell apart; take {most}, or leave it out."
            )
        return config.lda
    return most if config.backend == "plda" and most < full else None
