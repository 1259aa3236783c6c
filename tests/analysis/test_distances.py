"""Distances between Gaussians: closed forms by hand, a second computation, and those of drawn classes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from toys.probes import SPLITS

from audiossl.analysis.distances import Gaussian, bhattacharyya_distance, kl_divergence, layer_distances
from audiossl.analysis.functionals import Functionals
from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import clusters_of

ONE = Gaussian(np.array([0.0]), np.array([[1.0]]))
OTHER = Gaussian(np.array([1.5]), np.array([[4.0]]))


def test_both_equal_integrals() -> None:
    p, q = norm(0, 1), norm(1.5, 2)
    kl = quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -12, 12)[0]
    assert kl_divergence(ONE, OTHER) == pytest.approx(kl, rel=1e-6)
    overlap = quad(lambda x: (p.pdf(x) * q.pdf(x)) ** 0.5, -20, 20)[0]
    assert bhattacharyya_distance(ONE, OTHER) == pytest.approx(-np.log(overlap), rel=1e-6)
    assert bhattacharyya_distance(OTHER, ONE) == pytest.approx(bhattacharyya_distance(ONE, OTHER))
    assert kl_divergence(ONE, ONE) == bhattacharyya_distance(ONE, ONE) == 0


def test_by_hand_in_two_dimensions() -> None:
    one = Gaussian(np.zeros(2), np.diag([1.0, 2.0]))
    other = Gaussian(np.array([1.0, 2.0]), np.diag([2.0, 2.0]))
    # (1/2 + 1 + 1/2 + 4/2 - 2 + ln 2) / 2, and (1/1.5 + 4/2) / 8 + ln(3 / sqrt 8) / 2
    assert kl_divergence(one, other) == pytest.approx((2 + np.log(2)) / 2)
    assert bhattacharyya_distance(one, other) == pytest.approx((2 / 3 + 2) / 8 + np.log(3 / 8**0.5) / 2)


def test_the_layer_that_knows_has_the_largest_distances() -> None:
    found = {row.layer: row for row in layer_distances(SPLITS["train"])}
    assert found[1].bhattacharyya.value > found[2].bhattacharyya.value > found[0].bhattacharyya.value
    assert found[1].kl.value > 3 * found[0].kl.value
    assert found[1].kl.low is not None
    assert found[1].kl_pairs.shape == (3, 3)
    assert np.allclose(found[1].kl_pairs, found[1].kl_pairs.T)


def test_many_items_have_the_distance_that_they_were_drawn_with() -> None:
    draw = np.random.default_rng(0)
    points = draw.standard_normal((6000, 2))
    labels = [("a", "b")[number % 2] for number in range(6000)]
    points[1::2, 0] += 1.0
    rows = Functionals([str(n) for n in range(6000)], labels, clusters_of(None, 6000), {0: points.astype(np.float32)})
    (found,) = layer_distances(rows)
    assert found.bhattacharyya.value == pytest.approx(1 / 8, abs=0.02)
    assert found.kl.value == pytest.approx(1 / 2, abs=0.05)


def test_a_class_of_one_item_has_no_spread() -> None:
    rows = Functionals(["1", "2", "3", "4"], list("aaab"), clusters_of(None, 4), {0: np.zeros((4, 2), np.float32)})
    with pytest.raises(LabelError, match="'b' has 1"):
        layer_distances(rows)
