"""How well vectors suit labels, without a head that is trained: scores for choosing an encoder and a layer.

    LogME  mean over classes of the log evidence of a linear model of one-hot labels, for one item
           (You et al., 2021, arXiv:2102.11005, by the fixed point of arXiv:2110.10545).
    PED    classes that overlap push each other away, then a score such as LogME (Li et al., 2023, arXiv:2308.15074).
    TMI    how spread the items of a class are, as their entropy (Xu and Kang, 2023, arXiv:2308.05986).

All are higher where a layer is said to suit the labels better. LogME and PED need sums alone, which add up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import digamma

from audiossl.metrics.clusters import Floats, Ints
from audiossl.metrics.jackknife import Estimate
from audiossl.metrics.moment_sums import View

NEIGHBOUR = 3  # whose distance says how dense items lie (TMI)
LEAST_DISTANCE = 1.0  # nearer neighbours count as so far away (TMI)
OVERLAP = 0.6  # of PED: a class reaches so many of its standard deviations
PUSH = 0.5 * 0.1**2  # of PED: half a time step squared, for a unit of mass
MOST_PUSHES, LEAST_PUSH = 6, 0.5  # of PED: it ends where classes move less than this share of their first move

_SMALL = 1e-12  # so that nothing is divided by 0. The published 1e-5 makes the score depend on the scale of states
_NOTHING = 1e-12  # of the largest eigenvalue: no direction
_STEADY, _MOST_STEPS = 1e-6, 100
_LEAST_DEVIATION = 1e-3
_BLOCK = 1024  # items whose distances are in memory at once


class ClassSums(NamedTuple):
    """Of items x (N, D) with values y (N, C): one-hot labels, or numbers.

    num: N.
    second: (D, D) the sum of x x'.
    cross: (C, D) the sum of y x'. Of labels, the sum of each class.
    squares: (C, D) the sum of y times the squares of x. Of labels, the sum of squares of each class.
    counts: (C,) the sum of y. Of labels, the items of each class.
    power: (C,) the sum of the squares of y.
    """

    num: float
    second: Floats
    cross: Floats
    squares: Floats
    counts: Floats
    power: Floats

    @classmethod
    def of(cls, vectors: View, values: View) -> ClassSums:
        """Of vectors (N, D) and values (N, C)."""
        x, y = np.asarray(vectors, dtype=np.float64), np.asarray(values, dtype=np.float64)
        return cls(float(len(x)), x.T @ x, y.T @ x, y.T @ x**2, y.sum(0), (y**2).sum(0))

    def minus(self, part: ClassSums) -> ClassSums:
        """Without the items of a part."""
        return ClassSums(
            self.num - part.num,
            self.second - part.second,
            self.cross - part.cross,
            self.squares - part.squares,
            self.counts - part.counts,
            self.power - part.power,
        )

    @property
    def known(self) -> ClassSums:
        """Of the classes that have items."""
        there = self.power > 0.5
        return self._replace(**{name: getattr(self, name)[there] for name in ("cross", "squares", "counts", "power")})


def log_evidence(sums: ClassSums) -> float:
    """LogME: for each column of values, ln p(y | x) / N of a linear model whose weights and noise have the most likely
    variances 1 / alpha and 1 / beta, and the mean over the columns.

    With the eigenvalues s of x'x and z = (projection of y on the eigenvectors)^2, a step is

        t = alpha / beta      gamma = sum of s / (s + t)      m2 = sum of s z / (s + t)^2
        r2 = |y|^2 - sum of z + sum of z t^2 / (s + t)^2      alpha = gamma / m2      beta = (N - gamma) / r2
    """
    values, vectors = np.linalg.eigh(sums.second)
    kept = values > _NOTHING * max(values[-1], 1e-300)
    s = values[kept, None]  # (K, 1)
    z = (vectors[:, kept].T @ sums.cross.T) ** 2 / s  # (K, C)
    rest = np.maximum(sums.power - z.sum(0), 0.0)
    alpha = beta = np.ones(len(rest))
    for _ in range(_MOST_STEPS):
        t = alpha / beta
        gamma = (s / (s + t)).sum(0)
        m2, r2 = (s * z / (s + t) ** 2).sum(0), rest + (z * (t / (s + t)) ** 2).sum(0)
        alpha, beta = gamma / (m2 + _SMALL), (sums.num - gamma) / (r2 + _SMALL)
        if (np.abs(alpha / beta - t) <= _STEADY * t).all():
            break
    # Directions that no item has add nothing: for them, prior and posterior are alike.
    found = kept.sum() * np.log(alpha) + sums.num * (np.log(beta) - np.log(2 * np.pi)) - alpha * m2 - beta * r2
    found = (found - np.log(alpha + beta * s).sum(0)) / 2 / sums.num
    return float(found.mean())


def pushed_apart(sums: ClassSums) -> ClassSums:
    """PED: the same items after classes that overlap have pushed each other away.

    Dimensions are brought to a variance of 1 over all items. A class is a ball around its mean, with the root of the
    sum of its variances as radius. Where balls overlap, both move apart along the line between their means.
    """
    sums = sums.known
    mean, n = sums.cross.sum(0) / sums.num, sums.counts[:, None]
    total = sums.squares.sum(0) / sums.num - mean**2
    scale = np.maximum(np.sqrt(np.maximum(total, 0.0)), _LEAST_DEVIATION)
    start = (sums.cross / n - mean) / scale  # (C, D)
    inside = np.maximum(sums.squares / n - (sums.cross / n) ** 2, 0.0) / scale**2
    radius = np.sqrt(inside.sum(1))
    means, first = start, 0.0
    for number in range(MOST_PUSHES):
        move = _pushes(means, radius)
        size = float(np.abs(move).sum())
        first = first if number else size
        if not size > LEAST_PUSH * first:
            break
        means = means + move
    moved = (means - start) * scale
    both = sums.cross.T @ moved
    second = sums.second + both + both.T + moved.T @ (n * moved)
    squares = sums.squares + 2 * sums.cross * moved + n * moved**2
    return sums._replace(second=second, cross=sums.cross + n * moved, squares=squares)


def _pushes(means: Floats, radius: Floats) -> Floats:
    """(C, D) how far each class moves in a step."""
    distances = cdist(means, means)
    overlap = np.maximum(OVERLAP * (radius[:, None] + radius[None, :]) - distances, 0.0)
    weights = np.where(distances > 0, min(PUSH, 1.0) * overlap / np.maximum(distances, 1e-300), 0.0)
    moves: Floats = weights.sum(1, keepdims=True) * means - weights @ means
    return moves


def class_spread(vectors: View, labels: Ints, groups: Ints, num_groups: int) -> Estimate:
    """TMI: the sum over classes of p(y) H(x | y), by the number of classes as in the published code.

    H is Kozachenko and Leonenko's estimate by the distance (the largest of all dimensions) to the third neighbour, in
    nats. Classes of three items or fewer say nothing.

    vectors: (N, D).
    labels: (N,) classes.
    groups: (N,) of which each is left out once.
    num_groups: G.
    """
    x = np.asarray(vectors, dtype=np.float64)
    own, sizes = np.zeros(num_groups + 1), np.zeros(num_groups + 1)
    for label in np.unique(labels):
        mine = labels == label
        entropy, counts = _entropies(x[mine], groups[mine], num_groups)
        known = counts > NEIGHBOUR
        own += np.where(known, counts * entropy, 0.0)
        sizes += known
    totals = np.array([len(x), *(len(x) - np.bincount(groups, minlength=num_groups))], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(sizes > 0, own / totals / sizes, np.nan)
    return Estimate(float(found[0]), found[1:])


def _entropies(x: Floats, groups: Ints, num_groups: int) -> tuple[Floats, Floats]:
    """(G + 1,) the entropy of a class with all groups, then without each, and how many items that is of."""
    kept = [np.ones(len(x), dtype=bool), *(groups != number for number in range(num_groups))]
    counts = np.array([mask.sum() for mask in kept], dtype=np.float64)
    logs = np.zeros(len(kept))
    for start in range(0, len(x), _BLOCK):
        distances = cdist(x[start : start + _BLOCK], x, "chebyshev")
        for place, mask in enumerate(kept):
            near = distances[mask[start : start + _BLOCK]][:, mask]
            if near.size and near.shape[1] > NEIGHBOUR:  # the item itself is the first
                third = np.partition(near, NEIGHBOUR, axis=1)[:, NEIGHBOUR]
                logs[place] += np.log(2 * np.maximum(third, LEAST_DISTANCE)).sum()
    found: Floats = digamma(np.maximum(counts, 1)) - digamma(NEIGHBOUR) + x.shape[1] * logs / np.maximum(counts, 1)
    return found, counts
