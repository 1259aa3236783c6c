"""Sums over the items of two views, of which canonical correlations and kernel alignments follow without the items.

Sums of parts add up, and what a part adds can be taken away again: folds of a cross-validation, and all speakers but
one, are sums and differences. All are float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.metrics.clusters import Floats

View = NDArray[np.floating]


class OwnSums(NamedTuple):
    """Of one view x (N, D).

    num: N.
    first: (D,) the sum of x.
    second: (D, D) the sum of x x'.
    third: (D,) the sum of x |x|^2.
    fourth: the sum of |x|^4.
    """

    num: float
    first: Floats
    second: Floats
    third: Floats
    fourth: float

    @classmethod
    def of(cls, view: View) -> OwnSums:
        """Of items (N, D)."""
        x = np.asarray(view, dtype=np.float64)
        squares = np.einsum("nd,nd->n", x, x)
        return cls(float(len(x)), x.sum(0), x.T @ x, squares @ x, float(squares @ squares))

    def plus(self, other: OwnSums, sign: float = 1.0) -> OwnSums:
        """With the items of another part, or without them (`sign=-1`)."""
        return OwnSums(
            self.num + sign * other.num,
            self.first + sign * other.first,
            self.second + sign * other.second,
            self.third + sign * other.third,
            self.fourth + sign * other.fourth,
        )

    @property
    def covariance(self) -> Floats:
        """(D, D), by N."""
        mean = self.first / self.num
        return self.second / self.num - np.outer(mean, mean)


class CrossSums(NamedTuple):
    """Of two views x (N, D) and y (N, E) of the same items.

    second: (D, E) the sum of x y'.
    x_third: (D,) the sum of x |y|^2.
    y_third: (E,) the sum of y |x|^2.
    fourth: the sum of |x|^2 |y|^2.
    """

    second: Floats
    x_third: Floats
    y_third: Floats
    fourth: float

    @classmethod
    def of(cls, first: View, second: View) -> CrossSums:
        """Of items (N, D) and (N, E)."""
        x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
        of_x, of_y = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
        return cls(x.T @ y, of_y @ x, of_x @ y, float(of_x @ of_y))

    def plus(self, other: CrossSums, sign: float = 1.0) -> CrossSums:
        """With the items of another part, or without them (`sign=-1`)."""
        return CrossSums(
            self.second + sign * other.second,
            self.x_third + sign * other.x_third,
            self.y_third + sign * other.y_third,
            self.fourth + sign * other.fourth,
        )


class PairSums(NamedTuple):
    """All sums of two views of the same items.

    x, y: of each view.
    both: of the two.
    """

    x: OwnSums
    y: OwnSums
    both: CrossSums

    @classmethod
    def of(cls, first: View, second: View) -> PairSums:
        """Of items (N, D) and (N, E). Raises ValueError for views of another number of items."""
        if len(first) != len(second):
            raise ValueError(f"The views have {len(first)} and {len(second)} items.")
        return cls(OwnSums.of(first), OwnSums.of(second), CrossSums.of(first, second))

    def plus(self, other: PairSums, sign: float = 1.0) -> PairSums:
        """With the items of another part, or without them (`sign=-1`)."""
        return PairSums(self.x.plus(other.x, sign), self.y.plus(other.y, sign), self.both.plus(other.both, sign))

    @property
    def num(self) -> float:
        """N."""
        return self.x.num

    @property
    def covariance(self) -> Floats:
        """(D, E) between the views, by N."""
        return self.both.second / self.num - np.outer(self.x.first, self.y.first) / self.num**2
