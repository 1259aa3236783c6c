"""Scores of how well vectors suit labels: by hand, computed in another way, and as the published code has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from audiossl.metrics.clusters import Floats, Ints
from audiossl.metrics.transferability import ClassSums, class_spread, log_evidence, pushed_apart


def _case(num: int, width: int, classes: int, seed: int, gap: float) -> tuple[Floats, Ints]:
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % classes
    return 3.0 * rng.standard_normal((num, width)) + gap * rng.standard_normal((classes, width))[labels] + 1.0, labels


def _sums(vectors: Floats, labels: Ints) -> ClassSums:
    return ClassSums.of(vectors, np.eye(int(labels.max()) + 1)[labels])


@pytest.mark.parametrize(
    ("case", "logme", "ped", "tmi"),
    [
        ((120, 6, 4, 7, 2.0), -0.5014129339515103, -0.4966271522896248, 3.6962101619117798),
        ((300, 20, 7, 1, 1.0), -0.3409477690033346, -0.2927114757971351, 7.787200453711956),
    ],
)
def test_scores_are_those_of_the_published_code(
    case: tuple[int, int, int, int, float], logme: float, ped: float, tmi: float
) -> None:
    """lixiaotong97/PED at e5af6e7 and snudatalab/TMI at 72e5747, run on these arrays on 28 November 2026.

    It adds 1e-5 to what it divides by, which moves these by less than 1e-5. `LogME().fit`, `PED_Score(general_X=x,
    exit_ratio=0.5, time_step=0.1, nsigma=0.6, constant=1, type="LOGME")`, `TMI`.
    """
    vectors, labels = _case(*case)
    sums = _sums(vectors, labels)
    assert log_evidence(sums) == pytest.approx(logme, abs=1e-5)
    assert log_evidence(pushed_apart(sums)) == pytest.approx(ped, abs=1e-5)
    assert class_spread(vectors, labels, np.zeros(len(labels), dtype=np.int64), 1).value == pytest.approx(tmi)


@pytest.mark.parametrize("width", [3, 40])
def test_logme_is_the_highest_log_evidence_of_a_linear_model(width: int) -> None:
    """ln N(y; 0, 1 / beta + x x' / alpha), of fewer items than dimensions too, where the published code is too high."""
    vectors, labels = _case(24, width, 2, 5, 1.0)

    def evidence(logs: Floats, values: Floats) -> float:
        spread = np.eye(24) * np.exp(-logs[1]) + vectors @ vectors.T * np.exp(-logs[0])
        return float(stats.multivariate_normal(np.zeros(24), spread).logpdf(values)) / 24

    best = [
        -optimize.minimize(lambda logs, y: -evidence(logs, y), [3.0, 1.0], args=(own,), method="Nelder-Mead").fun
        for own in np.eye(2)[labels].T
    ]
    assert log_evidence(_sums(vectors, labels)) == pytest.approx(np.mean(best), abs=1e-4)


def test_logme_does_not_depend_on_scale_and_is_higher_where_labels_are_told() -> None:
    vectors, labels = _case(200, 5, 3, 0, 4.0)
    found = log_evidence(_sums(vectors, labels))
    assert log_evidence(_sums(100 * vectors, labels)) == pytest.approx(found, abs=1e-6)
    assert found > log_evidence(_sums(vectors, np.random.default_rng(0).permutation(labels))) + 0.1


def test_two_classes_push_each_other_away_by_hand() -> None:
    """{-3, 1} and {-1, 3} in units of their deviation, sqrt(5): means -1 and 1, deviations 2. The overlap is
    0.6 (2 + 2) - 2 = 0.4, a push is 0.005 of it for each, so that it is 0.99 of what it was after every one of six.
    """
    vectors, labels = np.array([[-3.0], [1.0], [-1.0], [3.0]]), np.array([0, 0, 1, 1])
    moved = pushed_apart(_sums(vectors, labels))
    far = 0.005 * 0.4 * (1 - 0.99**6) / 0.01
    assert moved.cross.ravel() / 2 == pytest.approx([-1 - far, 1 + far], abs=1e-12)
    direct = _sums(vectors + np.array([[-far], [-far], [far], [far]]), labels)
    for name, value in direct._asdict().items():
        assert getattr(moved, name) == pytest.approx(value, abs=1e-12)


def test_classes_that_do_not_overlap_or_lie_in_one_place_stay() -> None:
    far = _sums(np.array([[0.0], [1.0], [90.0], [91.0]]), np.array([0, 0, 1, 1]))
    assert pushed_apart(far).cross == pytest.approx(far.cross)
    same = _sums(np.array([[0.0], [1.0], [0.0], [1.0]]), np.array([0, 0, 1, 1]))
    assert pushed_apart(same).cross == pytest.approx(same.cross)


def test_the_spread_of_classes_by_hand() -> None:
    """0, 2, 5, 9: the third neighbour is 9, 7, 5, 9 away. psi(4) - psi(3) = 1/3, so that H = 1/3 + mean ln 2 of these.
    Two such classes: (H / 2 + H / 2) / 2. A third class with as many items as neighbours says nothing but counts in p.
    """
    one = np.array([0.0, 2.0, 5.0, 9.0])
    entropy = 1 / 3 + np.log([18, 14, 10, 18]).mean()
    two, labels = np.concatenate([one, one + 100])[:, None], np.repeat([0, 1], 4)
    groups = np.zeros(8, dtype=np.int64)
    assert class_spread(two, labels, groups, 1).value == pytest.approx(entropy / 2)
    three = np.concatenate([two, [[50.0], [51.0]]])
    found = class_spread(three, np.append(labels, [2, 2]), np.zeros(10, dtype=np.int64), 1)
    assert found.value == pytest.approx(0.8 * entropy / 2)
    assert np.isnan(found.without).all()


def test_without_a_group_is_what_the_others_give() -> None:
    vectors, labels = _case(90, 4, 3, 2, 1.0)
    groups = np.arange(90) // 18
    found = class_spread(vectors, labels, groups, 5)
    whole = _sums(vectors, labels)
    for group in range(5):
        kept = groups != group
        alone = class_spread(vectors[kept], labels[kept], np.zeros(int(kept.sum()), dtype=np.int64), 1)
        assert found.without[group] == pytest.approx(alone.value)
        left = whole.minus(_sums(vectors[~kept], labels[~kept]))
        assert log_evidence(left) == pytest.approx(log_evidence(_sums(vectors[kept], labels[kept])), abs=1e-9)
