"""Two-covariance PLDA (Ioffe, 2006, and Brümmer and de Villiers, 2010), and what is done to embeddings before it.

An embedding is x = mean + y + e, with y ~ N(0, B) one for each speaker and e ~ N(0, W) one for each recording. In the
basis V in which V W V' = I and V B V' = diag(psi), all dimensions are independent. There, n recordings of a speaker
with the mean m give

    y ~ N(n psi m / (1 + n psi), psi / (1 + n psi))

from which follow the steps of EM, the likelihood, and the ratio of "one speaker" to "two speakers" for a recording t:

    llr = log N(t | n psi m / (1 + n psi), 1 + psi / (1 + n psi)) - log N(t | 0, 1 + psi)

A head that has learnt the training speakers gives embeddings that hardly vary in many directions. There, the ratio of
the variances is noise that counts as much as any other. W is therefore drawn towards a multiple of the identity, by
the share of Ledoit and Wolf (A well-conditioned estimator for large-dimensional covariance matrices, 2004), or another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import linalg

from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import Floats, Ints

_RIDGE = 1e-6  # of the mean variance, for a covariance that too few recordings leave singular


class Classes(NamedTuple):
    """What PLDA and LDA must know of N embeddings of S speakers.

    counts: (S,) recordings of each.
    means: (S, D).
    scatter: (D, D), the sum of (x - mean of its speaker)(x - mean of its speaker)', with its trace drawn towards the
        identity by `shrinkage`.
    shrinkage: from 0 to 1.
    """

    counts: Ints
    means: Floats
    scatter: Floats
    shrinkage: float = 0.0

    @property
    def num_within(self) -> int:
        """N - S: how many recordings there are beyond the first of a speaker."""
        return int(self.counts.sum()) - len(self.counts)


class Plda(NamedTuple):
    """mean (D,), between (D, D) and within (D, D). log_likelihoods: of the training data, before each step of EM."""

    mean: Floats
    between: Floats
    within: Floats
    log_likelihoods: tuple[float, ...] = ()

    def basis(self) -> tuple[Floats, Floats]:
        """V (D, D), whose rows are the dimensions that are independent, and psi (D,)."""
        variances, columns = linalg.eigh(self.between, self.within)
        return columns.T, np.maximum(variances, 0.0)


def classes_of(vectors: Floats, speakers: Sequence[str], shrinkage: float | None = 0.0) -> Classes:
    """Counts, means and scatter of embeddings (N, D).

    vectors: the embeddings.
    speakers: (N,) theirs.
    shrinkage: of the covariance within speakers, from 0 to 1. None for the share of Ledoit and Wolf.
    Raises LabelError for fewer than two speakers, and where none has two recordings.
    """
    names, places = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    counts = np.bincount(places)
    if len(names) < 2 or counts.max() < 2:
        found = f"only {str(names[0])!r}" if len(names) == 1 else "none with two recordings" if len(names) else "none"
        raise LabelError(
            f"LDA, WCCN and PLDA are fitted on several speakers with several recordings each, and the training items "
            f"have {found}; add some, or let parts of recordings stand for them (task.scoring.parts_s=3)."
        )
    means = np.zeros((len(names), vectors.shape[1]))
    np.add.at(means, places, vectors)
    means /= counts[:, None]
    apart = vectors - means[places]
    if shrinkage is None:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = float(ledoit_wolf_shrinkage(apart, assume_centered=True))
    scatter = apart.T @ apart
    level = np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    return Classes(counts.astype(np.int64), means, (1 - shrinkage) * scatter + shrinkage * level, shrinkage)


def lda(classes: Classes, width: int) -> Floats:
    """(D, width): the directions with most variance between speakers for that within them, which is 1 in each."""
    centred = (classes.means - np.average(classes.means, axis=0, weights=classes.counts)) * classes.counts[
        :, None
    ] ** 0.5
    _, columns = linalg.eigh(centred.T @ centred / classes.counts.sum(), _within(classes))
    return np.ascontiguousarray(columns[:, ::-1][:, :width])


def wccn(classes: Classes) -> Floats:
    """(D, D): the product with it makes the covariance within speakers the identity (Hatch et al., 2006)."""
    return np.asarray(linalg.cholesky(linalg.inv(_within(classes)), lower=True))


def fit_plda(classes: Classes, num_steps: int = 10) -> Plda:
    """Between and within by EM, from the covariances of the data. The mean is that of the speakers and stays.

    The likelihood of the data never falls.
    """
    mean = classes.means.mean(axis=0)
    centred = classes.means - mean
    within = _within(classes)
    found = Plda(mean, centred.T @ centred / len(centred), within)
    likelihoods = []
    for _ in range(num_steps):
        likelihoods.append(log_likelihood(found, classes))
        found = _step(found, classes)
    return found._replace(log_likelihoods=(*likelihoods, log_likelihood(found, classes)))


def log_likelihood(plda: Plda, classes: Classes) -> float:
    """The logarithm of the density of all embeddings, those of a speaker together."""
    basis, psi = plda.basis()
    counts, means = classes.counts[:, None], (classes.means - plda.mean) @ basis.T
    num_items, width = int(classes.counts.sum()), len(psi)
    constant = num_items * (width * np.log(2 * np.pi) - 2 * np.linalg.slogdet(basis)[1])
    shared = np.log1p(counts * psi) + counts * means**2 / (1 + counts * psi)
    return -0.5 * float(constant + np.trace(basis @ classes.scatter @ basis.T) + shared.sum())


def rows_of_models(plda: Plda, means: Floats, counts: Ints) -> Floats:
    """(M, 2 D + 1) rows of models: their product with `rows_of_tests` is the log-likelihood ratio.

    plda: fitted.
    means: (M, D) of the embeddings of each model.
    counts: (M,) how many embeddings these are of.
    """
    basis, psi = plda.basis()
    centred, number = (means - plda.mean) @ basis.T, counts[:, None]
    expected = number * psi / (1 + number * psi) * centred
    variance, apart = 1 + psi / (1 + number * psi), 1 + psi
    constant = (np.log(apart) - np.log(variance) - expected**2 / variance).sum(axis=1, keepdims=True) / 2
    return np.concatenate([expected / variance, (1 / apart - 1 / variance) / 2, constant], axis=1)


def rows_of_tests(plda: Plda, vectors: Floats) -> Floats:
    """(N, 2 D + 1) rows of recordings (N, D), for the product with `rows_of_models`."""
    basis, _ = plda.basis()
    centred = (vectors - plda.mean) @ basis.T
    return np.concatenate([centred, centred**2, np.ones((len(centred), 1))], axis=1)


def _step(plda: Plda, classes: Classes) -> Plda:
    basis, psi = plda.basis()
    counts, means = classes.counts[:, None], (classes.means - plda.mean) @ basis.T
    # E: what is known of each speaker, in the basis where nothing correlates.
    spread = psi / (1 + counts * psi)
    expected = counts * spread * means
    # M: second moments of y, and of what is left of each recording.
    between = np.diag(spread.mean(axis=0)) + expected.T @ expected / len(expected)
    left = (means - expected) * counts**0.5
    within = basis @ classes.scatter @ basis.T + left.T @ left + np.diag((counts * spread).sum(axis=0))
    back = np.linalg.inv(basis)
    return plda._replace(
        between=_symmetric(back @ between @ back.T), within=_symmetric(back @ within @ back.T / counts.sum())
    )


def _within(classes: Classes) -> Floats:
    covariance = classes.scatter / classes.counts.sum()
    return np.asarray(covariance + _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))


def _symmetric(matrix: Floats) -> Floats:
    return np.asarray((matrix + matrix.T) / 2)
