"""Verification metrics: as scikit-learn and speechbrain have them, ties, one kind of trial, speakers left out."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.metrics.calibration import Calibration, fit_calibration
from audiossl.metrics.verification import (
    Sides,
    act_dcf,
    cllr,
    dcf,
    det_curve,
    equal_error_rate,
    equal_error_threshold,
    min_cllr,
    min_dcf,
    paired_eer,
    sides_of,
    verification_estimates,
    verification_metrics,
)


def trials(num: int, seed: int, *, ties: bool, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.random(num) < share
    targets[:2] = True, False
    scores = rng.standard_normal(num) + 1.5 * targets
    return (np.round(2 * scores) / 2 if ties else scores), targets


def crossing_of_scikit_learn(scores: np.ndarray, targets: np.ndarray) -> float:
    alarms, hits, _ = roc_curve(targets, scores)
    return float(brentq(lambda rate: 1.0 - rate - interp1d(alarms, hits)(rate), 0.0, 1.0, xtol=1e-14))


def dcf_of_scikit_learn(scores: np.ndarray, targets: np.ndarray, p_target: float) -> float:
    alarms, hits, _ = roc_curve(targets, scores, drop_intermediate=False)
    return float(((p_target * (1 - hits) + (1 - p_target) * alarms) / min(p_target, 1 - p_target)).min())


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("num", [2, 3, 7, 50, 2000])
def test_eer_and_min_dcf_are_those_of_scikit_learns_curve(num: int, ties: bool) -> None:
    for seed in range(10):
        scores, targets = trials(num, seed, ties=ties)
        alarms, hits, _ = roc_curve(targets, scores, drop_intermediate=False)
        curve = det_curve(scores, targets)
        np.testing.assert_allclose(curve.p_fa, alarms)
        np.testing.assert_allclose(curve.p_miss, 1 - hits, atol=1e-15)
        if len(set(alarms)) == len(alarms):  # else interp1d is not defined on the vertical parts of the curve
            assert equal_error_rate(scores, targets) == pytest.approx(crossing_of_scikit_learn(scores, targets))
        for p_target in (0.01, 0.05, 0.5, 0.9):
            expected = dcf_of_scikit_learn(scores, targets, p_target)
            assert min_dcf(scores, targets, p_target) == pytest.approx(expected)


def test_eer_is_the_crossing_where_scikit_learns_curve_is_steep() -> None:
    """With 2000 scores the vertical parts matter little, and the usual code gives the same to the fourth decimal."""
    for seed in range(5):
        scores, targets = trials(2000, seed, ties=False)
        assert equal_error_rate(scores, targets) == pytest.approx(crossing_of_scikit_learn(scores, targets), abs=1e-3)


def test_speechbrain_agrees_where_it_is_right() -> None:
    """Its minDCF is not normalised; its EER is the mean of both rates where they are closest."""
    import torch

    pytest.importorskip("speechbrain")
    from speechbrain.utils.metric_stats import EER, minDCF

    for seed in range(3):
        scores, targets = trials(300, seed, ties=False)
        positive, negative = (torch.from_numpy(scores[kind]) for kind in (targets, ~targets))
        step = 1 / min(targets.sum(), (~targets).sum())
        assert equal_error_rate(scores, targets) == pytest.approx(float(EER(positive, negative)[0]), abs=step)
        ours = min_dcf(scores, targets, 0.05)
        assert 0.05 * ours == pytest.approx(float(minDCF(positive, negative, p_target=0.05)[0]), abs=1e-6)


# By hand. Misses and false alarms at falling thresholds are points of a polygon; the EER is where it meets miss = fa.
@pytest.mark.parametrize(
    ("scores", "targets", "eer"),
    [
        ([3, 2, 1, 0], [1, 1, 0, 0], 0.0),  # (1, 0) (1/2, 0) (0, 0): misses reach 0 without a false alarm
        ([0, 1, 2, 3], [1, 1, 0, 0], 1.0),
        ([1, 1, 1, 1], [1, 1, 0, 0], 0.5),  # one tie: the diagonal
        ([1, 1, 1, 1], [1, 0, 0, 0], 0.5),
        ([2, 1, 1, 0], [1, 1, 0, 0], 1 / 4),  # one line from (1/2, 0) to (0, 1/2)
        ([3, 2, 1], [1, 0, 1], 0.5),  # (1/2, 0) (1/2, 1)
        ([5, 4, 3, 2, 1, 0], [1, 1, 0, 1, 0, 0], 1 / 3),  # (1/3, 0) (1/3, 1/3): vertical part meets the diagonal
    ],
)
def test_eer_by_hand(scores: list[float], targets: list[int], eer: float) -> None:
    assert equal_error_rate(scores, targets) == pytest.approx(eer)
    for order in ([-1, 1], [1, -1]):  # the order of tied trials is of no consequence
        assert equal_error_rate(scores[:: order[0]], targets[:: order[0]]) == pytest.approx(eer)


def test_min_dcf_and_threshold_by_hand() -> None:
    scores, targets = [4.0, 3.0, 2.0, 1.0], [1, 0, 1, 0]
    # Thresholds inf, 4, 3, 2, 1: misses 1, 1/2, 1/2, 0, 0; false alarms 0, 0, 1/2, 1/2, 1.
    curve = det_curve(scores, targets)
    assert curve.p_miss.tolist() == [1, 0.5, 0.5, 0, 0]
    assert curve.p_fa.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.thresholds.tolist() == [np.inf, 4, 3, 2, 1]
    assert min_dcf(scores, targets, 0.1) == pytest.approx(0.5)  # refuse all but 4: 0.1 * 0.5 / 0.1
    assert min_dcf(scores, targets, 0.9) == pytest.approx(0.5)
    assert min_dcf([1, 2], [1, 0], 0.01) == 1.0  # refuse all
    assert equal_error_threshold(curve) == 3.0


def test_act_dcf_and_cllr_by_hand() -> None:
    llrs, targets = np.log([3.0, 1 / 3, 1.0, 1 / 7]), [1, 1, 0, 0]
    bits = [np.log2(4 / 3), np.log2(4), 1.0, np.log2(8 / 7)]  # log2(1 + 1 / odds), log2(1 + odds)
    assert cllr(llrs, targets) == pytest.approx(0.5 * (np.mean(bits[:2]) + np.mean(bits[2:])))
    assert cllr([0.0, 0.0], [1, 0]) == pytest.approx(1.0)
    assert act_dcf(llrs, targets, 0.5) == pytest.approx(0.5 + 0.5)  # accepts odds of at least 1: one miss, one alarm
    assert act_dcf(llrs, targets, 0.01) == pytest.approx(1.0)  # odds of 99 are never reached
    assert dcf(0.2, 0.1, 0.25) == pytest.approx(0.25 * 0.2 / 0.25 + 0.75 * 0.1 / 0.25)
    assert cllr([800.0, -800.0], [1, 0]) == 0.0
    assert cllr([-800.0, 800.0], [1, 0]) == pytest.approx(800 / np.log(2))  # no overflow


@pytest.mark.parametrize("ties", [False, True])
def test_min_cllr_is_that_of_isotonic_regression(ties: bool) -> None:
    scores, targets = trials(400, 3, ties=ties)
    weights = np.where(targets, 0.5 / targets.sum(), 0.5 / (~targets).sum())
    posterior = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, targets, sample_weight=weights)
    with np.errstate(divide="ignore"):
        costs = -np.log2(np.where(targets, posterior, 1 - posterior))
    expected = weights @ np.where(np.isfinite(costs), costs, 0)
    assert min_cllr(scores, targets) == pytest.approx(expected)
    assert min_cllr(scores, targets) <= cllr(fit_calibration(scores, targets).llrs(scores), targets)
    assert min_cllr([2, 1], [1, 0]) == 0.0
    assert min_cllr([1, 1], [1, 0]) == pytest.approx(1.0)


def test_metrics_together_are_those_alone() -> None:
    scores, targets = trials(500, 5, ties=True)
    llrs = Calibration(1.2, -0.7).llrs(scores)
    found = verification_metrics(scores, targets, llrs=llrs)
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(
        {
            "eer": equal_error_rate(scores, targets),
            "min_dcf_p01": min_dcf(scores, targets, 0.01),
            "min_dcf_p05": min_dcf(scores, targets, 0.05),
            "act_dcf_p01": act_dcf(llrs, targets, 0.01),
            "act_dcf_p05": act_dcf(llrs, targets, 0.05),
            "cllr": cllr(llrs, targets),
        }
    )
    assert all(metric.low is None for metric in found.values())
    assert set(verification_metrics(scores, targets)) == {"eer", "min_dcf_p01", "min_dcf_p05"}


def test_figures_without_a_speaker_are_those_of_the_other_trials() -> None:
    rng = np.random.default_rng(4)
    scores, targets = trials(90, 8, ties=True, share=0.4)
    left = rng.integers(0, 5, 90)
    right = np.where(targets, left, (left + rng.integers(1, 5, 90)) % 5)
    sides = Sides([f"s{number}" for number in left], [f"s{number}" for number in right])
    found = verification_estimates(scores, targets, sides, scores)
    for speaker in range(5):
        kept = (left != speaker) & (right != speaker)
        assert found["eer"].without[speaker] == pytest.approx(equal_error_rate(scores[kept], targets[kept]))
        assert found["min_dcf_p05"].without[speaker] == pytest.approx(min_dcf(scores[kept], targets[kept], 0.05))
        assert found["cllr"].without[speaker] == pytest.approx(cllr(scores[kept], targets[kept]))
    metric = verification_metrics(scores, targets, sides)["eer"]
    assert (metric.num_clusters, metric.cluster) == (5, "speaker")


def test_many_speakers_are_left_out_in_groups() -> None:
    scores, targets = trials(1200, 3, ties=False)
    left = np.arange(1200) % 300
    sides = Sides(list(map(str, left)), list(map(str, np.where(targets, left, (left + 7) % 300))))
    assert len(verification_estimates(scores, targets, sides)["eer"].without) == 200
    assert verification_metrics(scores, targets, sides)["eer"].num_clusters == 300


def test_few_speakers_make_wide_intervals() -> None:
    scores, targets = trials(4000, 2, ties=False)
    rng = np.random.default_rng(0)

    def width(num_speakers: int) -> float:
        voices = rng.standard_normal(num_speakers)  # some speakers are hard
        left = rng.integers(0, num_speakers, len(scores))
        right = np.where(targets, left, (left + rng.integers(1, num_speakers, len(scores))) % num_speakers)
        sides = Sides(list(map(str, left)), list(map(str, right)))
        metric = verification_metrics(scores + 2 * voices[left] * targets, targets, sides)["eer"]
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low < metric.value < metric.high
        return metric.high - metric.low

    assert width(6) > 2 * width(200)


def test_one_speaker_has_no_interval() -> None:
    found = verification_metrics([2.0, 1.0], [1, 0], Sides(["a", "a"], ["a", "a"]))
    assert found["eer"].low is None
    assert found["eer"].remark == "no interval of one speaker"


def test_two_speakers_have_no_interval_and_no_p_value() -> None:
    """Without one of them, no trial of two speakers is left."""
    sides = Sides(["a", "b", "a", "b"], ["a", "b", "b", "a"])
    metric = verification_metrics([3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0], sides)["eer"]
    assert metric.low is None
    assert metric.remark.startswith("no interval: without some speaker nothing is left")
    gap = paired_eer([3.0, 1.0, 2.0, 0.0], [3.0, 2.0, 1.0, 0.0], [1, 1, 0, 0], sides)
    assert (gap.value, gap.low, gap.p_value) == (0.5, None, None)


def test_recordings_without_a_speaker_count_as_one_and_are_named() -> None:
    rows = [
        {"enrol": f"e{n}", "test": f"t{n}", "speaker_enrol": f"s{n % 3}", "speaker_test": f"s{n % 2}"} for n in range(6)
    ]
    assert sides_of(rows)[2:] == ("speaker", "")
    rows[1]["speaker_test"] = rows[2]["speaker_test"] = None  # type: ignore[assignment]
    found = sides_of(rows)
    assert found.test[1] == found.test[2] == ""
    assert found.kind == "speaker"
    assert found.remark == (
        "2 of the recordings have no speaker, the first is 't1': such recordings count as those of one speaker"
    )
    bare = [{**row, "speaker_enrol": None, "speaker_test": None} for row in rows]
    assert sides_of(bare)[2:] == ("recording", "")
    assert list(sides_of(bare).enrol) == [f"e{n}" for n in range(6)]


def test_paired_difference_of_two_systems() -> None:
    scores, targets = trials(1500, 6, ties=False)
    left = np.arange(1500) % 30
    sides = Sides(list(map(str, left)), list(map(str, np.where(targets, left, (left + 7) % 30))))
    worse = scores - 0.8 * targets
    gap = paired_eer(worse, scores, targets, sides)
    assert gap.value == pytest.approx(equal_error_rate(worse, targets) - equal_error_rate(scores, targets))
    assert gap.low is not None
    assert gap.low > 0
    assert gap.p_value is not None and gap.p_value < 1e-3
    assert paired_eer(scores, scores, targets, sides).value == 0.0


def test_memory_of_the_intervals_is_bounded() -> None:
    scores, targets = trials(20_000, 0, ties=False)
    left = np.arange(20_000) % 100
    sides = Sides(list(map(str, left)), list(map(str, np.where(targets, left, (left + 3) % 100))))
    tracemalloc.start()
    verification_metrics(scores, targets, sides)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6  # a hundred times all trials, and what is made of them, would be several times 16 MB


@pytest.mark.parametrize(("targets", "found"), [([1, 1], "only same"), ([0, 0], "only different"), ([], "none at all")])
def test_one_kind_of_trial_is_one_sentence(targets: list[int], found: str) -> None:
    for function in (equal_error_rate, min_dcf, cllr, min_cllr, fit_calibration, verification_metrics):
        with pytest.raises(LabelError, match=f"these {len(targets)} trials have {found}"):
            function(np.zeros(len(targets)), targets)


def test_scores_that_are_no_number_are_counted_and_named() -> None:
    with pytest.raises(AudiosslError, match=r"2 of 4 scores are not a number \(the first is that of trial 2\)"):
        equal_error_rate([0.0, np.nan, 1.0, np.nan], [1, 0, 1, 0])
    with pytest.raises(AudiosslError, match="1 of 2 scores"):
        verification_metrics([0.0, 1.0], [1, 0], llrs=[0.0, np.nan])
    assert equal_error_rate([np.inf, -np.inf], [1, 0]) == 0.0


def test_lengths_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="one for each"):
        equal_error_rate([0.0, 1.0, 2.0], [1, 0])
    with pytest.raises(ValueError, match="3 pairs of speakers for 2 trials"):
        verification_metrics([0.0, 1.0], [1, 0], Sides(["a"] * 3, ["b"] * 3))
