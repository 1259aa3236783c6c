"""Back ends: rows of models and recordings whose product is the score."""

from __future__ import annotations

import numpy as np

from audiossl.core.config import structured
from audiossl.downstreams.speaker_verification.backends import Backend, fit_backend
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig
from audiossl.metrics.plda import classes_of

RNG = np.random.default_rng(0)
OWN = RNG.standard_normal((9, 6)).repeat(4, axis=0)
VECTORS = OWN + 0.4 * RNG.standard_normal(OWN.shape)
SPEAKERS = [f"s{place // 4}" for place in range(36)]


def fitted(**options: object) -> Backend:
    return fit_backend(structured(ScoringConfig, options), VECTORS, SPEAKERS, None)


def test_a_plain_back_end_is_the_cosine_with_the_mean_taken_out() -> None:
    assert fitted() == Backend()
    offset = np.full(6, 0.1)
    backend = Backend(offset)
    compared = backend.compared(VECTORS)
    np.testing.assert_allclose(np.linalg.norm(compared, axis=1), 1.0)
    score = backend.models(compared, [[0, 1]]) @ backend.tests(compared)[5]
    units = [vector / np.linalg.norm(vector) - offset for vector in VECTORS[[0, 1, 5]]]
    one, two, test = (unit / np.linalg.norm(unit) for unit in units)
    mean = (one + two) / 2
    np.testing.assert_allclose(score.item(), mean @ test / np.linalg.norm(mean))


def test_wccn_makes_variances_within_speakers_alike_and_plda_takes_what_data_can_tell() -> None:
    backend = fitted(wccn=True, shrinkage=0.0)
    assert backend.projection is not None
    moved = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True) - backend.centre) @ backend.projection
    np.testing.assert_allclose(classes_of(moved, SPEAKERS).scatter / 36, np.eye(6), atol=1e-4)
    plda = fitted(backend="plda")
    assert plda.plda is not None
    assert plda.projection is None  # 8 dimensions could be told apart, and there are 6
    few = fit_backend(structured(ScoringConfig, {"backend": "plda"}), VECTORS[:12], SPEAKERS[:12], None)
    assert few.projection is not None
    assert few.projection.shape == (6, 2)
    compared = plda.compared(VECTORS)
    table = plda.models(compared, [[place] for place in range(36)]) @ plda.tests(compared).T
    np.testing.assert_allclose(table, table.T, atol=1e-8)
