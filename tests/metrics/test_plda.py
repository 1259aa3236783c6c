"""PLDA against dense Gaussians, LDA against scikit-learn, and the ratio against speechbrain's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from audiossl.core.errors import LabelError
from audiossl.metrics.plda import (
    Plda,
    classes_of,
    fit_plda,
    lda,
    log_likelihood,
    rows_of_models,
    rows_of_tests,
    wccn,
)
from audiossl.metrics.verification import equal_error_rate


def drawn(num_speakers: int = 40, most: int = 6, width: int = 4, seed: int = 0) -> tuple[np.ndarray, list[str], Plda]:
    """Embeddings of a PLDA model, of 1 to `most` recordings of each speaker."""
    rng = np.random.default_rng(seed)
    roots = [rng.standard_normal((width, width)) for _ in range(2)]
    truth = Plda(rng.standard_normal(width), *(root @ root.T + 0.2 * np.eye(width) for root in roots))
    between, within = (np.linalg.cholesky(each) for each in (truth.between, truth.within))
    counts = 1 + np.arange(num_speakers) % most
    own = truth.mean + rng.standard_normal((num_speakers, width)) @ between.T
    vectors = own.repeat(counts, axis=0) + rng.standard_normal((counts.sum(), width)) @ within.T
    return vectors, [f"s{speaker}" for speaker in np.arange(num_speakers).repeat(counts)], truth


def dense(plda: Plda, vectors: np.ndarray) -> float:
    """The log density of recordings of one speaker, as one long Gaussian vector."""
    count = len(vectors)
    covariance = np.kron(np.ones((count, count)), plda.between) + np.kron(np.eye(count), plda.within)
    return float(multivariate_normal.logpdf(vectors.ravel(), np.tile(plda.mean, count), covariance))


def test_the_ratio_is_that_of_dense_gaussians_for_one_and_for_several_enrolments() -> None:
    vectors, _, plda = drawn()
    for count in (1, 2, 5):
        enrol, tests = vectors[:count], vectors[7:12]
        found = rows_of_models(plda, enrol.mean(axis=0)[None], np.array([count])) @ rows_of_tests(plda, tests).T
        expected = [
            dense(plda, np.vstack([enrol, test])) - dense(plda, enrol) - dense(plda, test[None]) for test in tests
        ]
        np.testing.assert_allclose(found[0], expected, rtol=1e-8, atol=1e-8)


def test_the_likelihood_is_the_dense_one_never_falls_and_finds_the_model() -> None:
    vectors, speakers, truth = drawn()
    classes = classes_of(vectors, speakers)
    by_hand = sum(dense(truth, vectors[np.array(speakers) == name]) for name in set(speakers))
    assert log_likelihood(truth, classes) == pytest.approx(by_hand, rel=1e-10)
    found = fit_plda(classes, 30)
    assert len(found.log_likelihoods) == 31
    assert (np.diff(found.log_likelihoods) > -1e-8).all()
    many = classes_of(*drawn(2000, 6, 4)[:2])
    close = fit_plda(many, 20)
    np.testing.assert_allclose(close.within, truth.within, atol=0.1 * np.abs(truth.within).max())
    np.testing.assert_allclose(close.between, truth.between, atol=0.1 * np.abs(truth.between).max())


def test_the_ratio_is_that_of_speechbrain() -> None:
    scoring = pytest.importorskip("speechbrain.processing.PLDA_LDA")
    vectors, _, plda = drawn()
    enrol, tests = vectors[:3], vectors[5:9]
    objects = []
    for rows in (enrol, tests):
        names = np.array([f"r{row}" for row in range(len(rows))], dtype="|O")
        nothing = np.array([None] * len(rows))
        objects.append(
            scoring.StatObject_SB(
                names, names, start=nothing, stop=nothing, stat0=np.ones((len(rows), 1)), stat1=rows.copy()
            )
        )
    ndx = scoring.Ndx(models=objects[0].modelset, testsegs=objects[1].segset)
    root = np.linalg.cholesky(plda.between)
    told = scoring.fast_PLDA_scoring(*objects, ndx, plda.mean, root, plda.within).scoremat
    found = rows_of_models(plda, enrol, np.ones(3, dtype=int)) @ rows_of_tests(plda, tests).T
    np.testing.assert_allclose(found - found[0, 0], told - told[0, 0], rtol=1e-8, atol=1e-8)


def test_lda_separates_and_whitens_and_wccn_whitens() -> None:
    vectors, speakers, _ = drawn(60, 5, 4)
    classes = classes_of(vectors, speakers)
    directions = lda(classes, 2)
    within = classes.scatter / classes.counts.sum()
    np.testing.assert_allclose(directions.T @ within @ directions, np.eye(2), atol=1e-4)
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    theirs = LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(vectors, speakers).scalings_[:, :2]
    cosines = (
        np.abs((theirs * directions).sum(axis=0)) / np.linalg.norm(theirs, axis=0) / np.linalg.norm(directions, axis=0)
    )
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)
    product = wccn(classes)
    np.testing.assert_allclose(product.T @ within @ product, np.eye(4), atol=1e-4)


def test_one_speaker_or_one_recording_each_is_said() -> None:
    with pytest.raises(LabelError, match="only 'ann'"):
        classes_of(np.ones((3, 2)), ["ann"] * 3)
    with pytest.raises(LabelError, match="none with two recordings"):
        classes_of(np.ones((2, 2)), ["ann", "bob"])


def test_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    vectors, speakers, _ = drawn()
    plain, shrunk = classes_of(vectors, speakers), classes_of(vectors, speakers, None)
    _, places = np.unique(speakers, return_inverse=True)
    covariance = LedoitWolf(assume_centered=True).fit(vectors - plain.means[places]).covariance_
    np.testing.assert_allclose(shrunk.scatter / len(vectors), covariance)
    assert 0 < shrunk.shrinkage < 1 and plain.shrinkage == 0
    assert classes_of(np.tile(vectors, (50, 1)), speakers * 50, None).shrinkage < shrunk.shrinkage / 10


def test_directions_that_hardly_vary_in_training_do_not_decide() -> None:
    """A head that knows its training speakers by heart: new speakers differ by a little in what was constant."""
    rng = np.random.default_rng(0)

    def embeddings(num_speakers: int, constant: float) -> tuple[np.ndarray, list[str]]:
        own = rng.standard_normal((num_speakers, 40)) * np.r_[np.ones(10), np.full(30, constant)]
        vectors = own.repeat(4, axis=0)
        vectors += rng.standard_normal(vectors.shape) * np.r_[np.full(10, 0.3), np.full(30, constant)]
        return vectors, [f"s{speaker:03d}" for speaker in range(num_speakers) for _ in range(4)]

    known, unknown = embeddings(30, 1e-4), embeddings(20, 0.02)
    same = np.equal.outer(unknown[1], unknown[1])
    pairs = np.triu_indices(len(same), 1)
    rates = []
    for shrinkage in (0.0, None):
        plda = fit_plda(classes_of(*known, shrinkage))
        rows = rows_of_models(plda, unknown[0], np.ones(len(same), dtype=np.int64))
        scores = rows @ rows_of_tests(plda, unknown[0]).T
        rates.append(equal_error_rate(scores[pairs], same[pairs]))
    assert rates[0] > 0.15 and rates[1] < 0.02
