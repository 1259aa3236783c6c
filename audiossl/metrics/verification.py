"""Errors of speaker verification: EER, DCF, Cllr and DET points, with intervals over speakers.

A trial is a score and whether its two sides are one speaker (a target trial). Trials are sorted once. Every error rate
is then a cumulative sum, and what the rates are without some of the trials one more row of weights.

* EER: where the ROC curve, its points (one for each distinct score) joined by straight lines, has as many misses as
  false alarms. Tied scores are one point, so their order does not matter. This is the crossing that is usually solved
  for on scikit-learn's `roc_curve`.
* DCF at p: (p * P_miss + (1 - p) * P_fa) / min(p, 1 - p), both costs 1 (NIST's normalisation: 1 is what a system costs
  that never listens). minDCF takes the best threshold of the trials themselves, actDCF the one that log-likelihood
  ratios imply, log((1 - p) / p).
* Cllr: mean cost in bits of log-likelihood ratios over all thresholds (Brümmer and du Preez, 2006). minCllr is what is
  left of it after the best monotone map of the scores (pool adjacent violators).

Trials of one speaker are not independent, so whole speakers are left out for the intervals, with all trials in which
they are on either side. More than 200 speakers are left out in 200 groups, so that time stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, logit, xlogy

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Floats, Ints
from audiossl.metrics.jackknife import (
    Difference,
    Estimate,
    Scale,
    difference_of,
    intervals_wanted,
    metric_of,
)

Bools = NDArray[np.bool_]

P_TARGETS = (0.01, 0.05)
_CHUNK = 2**20  # most weights held at once: 8 MB, and a few arrays of that size beside them


class Sides(NamedTuple):
    """Who is on the two sides of N trials.

    enrol, test: (N,) speakers, or whatever varies as a whole.
    kind: what they are.
    remark: what a reader must know of them.
    """

    enrol: Sequence[str]
    test: Sequence[str]
    kind: str = "speaker"
    remark: str = ""


class DetCurve(NamedTuple):
    """Errors at each threshold, from 'refuse all' to 'accept all': each (K + 1,) for K distinct scores.

    A trial is accepted whose score is at least the threshold. The first threshold is infinite.
    """

    p_miss: Floats
    p_fa: Floats
    thresholds: Floats


def det_curve(scores: ArrayLike, targets: ArrayLike) -> DetCurve:
    """The error rates of N trials at every threshold. Raises LabelError without both kinds of trials."""
    trials = _Sorted.of(scores, targets)
    ours, others = trials.above
    return DetCurve(1 - ours / ours[-1], others / others[-1], trials.thresholds)


def equal_error_rate(scores: ArrayLike, targets: ArrayLike) -> float:
    """The rate at which misses and false alarms are equal, a share of 1."""
    trials = _Sorted.of(scores, targets)
    return float(_eer(trials, trials.once)[0])


def equal_error_threshold(curve: DetCurve) -> float:
    """The highest threshold at which there are no more misses than false alarms."""
    return float(curve.thresholds[int((curve.p_miss > curve.p_fa).sum())])


def min_dcf(scores: ArrayLike, targets: ArrayLike, p_target: float = 0.01) -> float:
    """The lowest normalised detection cost over all thresholds, at most 1."""
    curve = det_curve(scores, targets)
    return float(dcf(curve.p_miss, curve.p_fa, p_target).min())


def act_dcf(llrs: ArrayLike, targets: ArrayLike, p_target: float = 0.01) -> float:
    """The normalised detection cost of deciding by log-likelihood ratios, for a prior of `p_target`."""
    ratios, same = checked_trials(llrs, targets)
    accepted = ratios >= -logit(p_target)
    return float(dcf((~accepted[same]).mean(), accepted[~same].mean(), p_target))


def dcf(p_miss: ArrayLike, p_fa: ArrayLike, p_target: float) -> Floats:
    """Normalised detection cost of error rates of any shape."""
    cost = p_target * np.asarray(p_miss, dtype=np.float64) + (1 - p_target) * np.asarray(p_fa, dtype=np.float64)
    return np.asarray(cost / min(p_target, 1 - p_target))


def cllr(llrs: ArrayLike, targets: ArrayLike) -> float:
    """Cost of log-likelihood ratios in bits: 0 is perfect, 1 is what llr = 0 for every trial costs."""
    ratios, same = checked_trials(llrs, targets)
    costs = _bits(ratios, same)
    return float((costs[same].mean() + costs[~same].mean()) / 2)


def min_cllr(scores: ArrayLike, targets: ArrayLike) -> float:
    """Cllr after the monotone map that makes it smallest."""
    from sklearn.isotonic import isotonic_regression

    trials = _Sorted.of(scores, targets)
    hits, others = np.diff(trials.above, axis=1)
    counts = hits + others
    share = isotonic_regression(hits / counts, sample_weight=counts, increasing=False, y_min=0.0, y_max=1.0)
    # Prior odds taken out: the posterior of a prior of 1/2, whose logarithms are the costs.
    num_targets, num_others = int(hits.sum()), int(others.sum())
    ours, theirs = share / num_targets, (1 - share) / num_others
    posterior = np.clip(ours / (ours + theirs), 0.0, 1.0)
    gain = xlogy(hits, posterior).sum() / num_targets + xlogy(others, 1 - posterior).sum() / num_others
    return float(max(0.0, -gain / (2 * np.log(2))))


def verification_metrics(
    scores: ArrayLike,
    targets: ArrayLike,
    sides: Sides | None = None,
    llrs: ArrayLike | None = None,
    *,
    p_targets: Sequence[float] = P_TARGETS,
) -> dict[str, Metric]:
    """`eer`, `min_dcf_pXX` and, with log-likelihood ratios, `act_dcf_pXX` and `cllr` of N trials, with 95 % intervals.

    scores: (N,).
    targets: (N,) whether both sides are one speaker.
    sides: who varies as a whole: the speakers of the trials (or the items, where speakers are not known). Without them
        there are no intervals.
    llrs: (N,) log-likelihood ratios (natural logarithm).
    p_targets: the priors of the costs, the XX of their names in hundredths.
    Raises LabelError without both kinds of trials.
    """
    if sides is None or not intervals_wanted():
        trials = _Sorted.of(scores, targets)
        values = _figures(trials, _costs_of(trials, llrs, targets, p_targets), p_targets, trials.once)
        return {name: Metric(float(value[0])) for name, value in values.items()}
    clusters = speakers_of(sides)
    found = verification_estimates(scores, targets, sides, llrs, p_targets=p_targets)
    return {name: metric_of(each, clusters) for name, each in found.items()}


def verification_estimates(
    scores: ArrayLike,
    targets: ArrayLike,
    sides: Sides,
    llrs: ArrayLike | None = None,
    *,
    p_targets: Sequence[float] = P_TARGETS,
) -> dict[str, Estimate]:
    """The metrics of `verification_metrics`, with what each of them is without each speaker (or group of speakers).

    scores, targets, sides, llrs, p_targets: as there.
    """
    trials = _Sorted.of(scores, targets)
    # The values are those of the trials as they are, the others those without a speaker, by the same function.
    costs = _costs_of(trials, llrs, targets, p_targets)
    values = _figures(trials, costs, p_targets, trials.once)
    clusters = speakers_of(sides)
    left, right = clusters.merged().of.reshape(2, -1)
    if len(left) != len(trials.order):
        raise ValueError(f"{len(left)} pairs of speakers for {len(trials.order)} trials; there must be one for each.")
    parts = [_figures(trials, costs, p_targets, kinds) for kinds in _left_out(trials, left, right)]
    # Misses and false alarms weigh alike at the equal error rate, whatever there are of each.
    worth = 4 / (1 / len(trials.targets) + 1 / len(trials.others))
    return {
        name: Estimate(
            float(value[0]),
            np.concatenate([part[name] for part in parts]),
            _scale_of(name),
            worth if name == "eer" else None,
        )
        for name, value in values.items()
    }


def paired_eer(first: ArrayLike, second: ArrayLike, targets: ArrayLike, sides: Sides) -> Difference:
    """EER of the first system minus that of the second on the same trials, in the same order.

    first: (N,) scores of the first system.
    second: (N,) scores of the second.
    targets: (N,) whether both sides are one speaker.
    sides: who varies as a whole.
    """
    ours, theirs = (verification_estimates(scores, targets, sides)["eer"] for scores in (first, second))
    return difference_of(ours, theirs, speakers_of(sides))


def sides_of(trials: Sequence[Mapping[str, Any]]) -> Sides:
    """The speakers of both sides of each trial, as predictions name them. Recordings where no speaker is known.

    All recordings without a speaker count as those of one speaker more, which the remark says.
    """
    keys = (("enrol", "speaker_enrol"), ("test", "speaker_test"))
    unknown = {str(row[side]) for row in trials for side, speaker in keys if row.get(speaker) is None}
    named = any(row.get(speaker) is not None for row in trials for _, speaker in keys)
    if not named:
        return Sides([str(row["enrol"]) for row in trials], [str(row["test"]) for row in trials], "recording")
    left, right = ([str(row[key]) if row.get(key) is not None else "" for row in trials] for _, key in keys)
    first = f"{len(unknown)} of the recordings have no speaker, the first is {min(unknown)!r}" if unknown else ""
    return Sides(left, right, "speaker", f"{first}: such recordings count as those of one speaker" if unknown else "")


def checked_trials(scores: ArrayLike, targets: ArrayLike) -> tuple[Floats, Bools]:
    """Scores and targets (N,) as arrays, whether a target is one speaker as booleans.

    Raises AudiosslError for a score that is not a number, LabelError without both kinds of trials.
    """
    values, same = np.asarray(scores, dtype=np.float64), np.asarray(targets).astype(bool)
    if values.shape != same.shape or values.ndim != 1:
        raise ValueError(f"{values.shape} scores for {same.shape} trials; there must be one for each.")
    wrong = np.flatnonzero(np.isnan(values))
    if len(wrong):
        raise AudiosslError(
            f"{len(wrong)} of {len(values)} scores are not a number (the first is that of trial {wrong[0] + 1}); look "
            f"for recordings of silence, or for a run that diverged."
        )
    if not len(values) or same.all() or not same.any():
        found = "none at all" if not len(values) else f"only {'same' if same.any() else 'different'}-speaker ones"
        raise LabelError(
            f"Error rates need trials of the same speaker and of different speakers, and these {len(values)} trials "
            f"have {found}; add the other kind to the list."
        )
    return values, same


class _Kinds(NamedTuple):
    """How often target trials (R, P) and other trials (R, M) count, each by falling score."""

    targets: Floats
    others: Floats


class _Sorted(NamedTuple):
    """Trials by falling score.

    order: (N,) their places.
    targets, others: (P,) and (M,), the places of each kind.
    above: (2, K + 1) how many of each kind have at least each of the thresholds.
    thresholds: (K + 1,) from infinity down.
    useful: places of the thresholds that can have the lowest cost: those that just let a target trial in, and the one
        that refuses all.
    """

    order: Ints
    targets: Ints
    others: Ints
    above: Ints
    thresholds: Floats
    useful: Ints

    @classmethod
    def of(cls, scores: ArrayLike, targets: ArrayLike) -> _Sorted:
        values, same = checked_trials(scores, targets)
        order = np.argsort(values)[::-1]
        falling, kind = values[order], same[order]
        ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))  # of groups of equal scores
        hits = np.cumsum(kind)[ends]
        above = np.zeros((2, len(ends) + 1), dtype=np.int64)
        above[0, 1:], above[1, 1:] = hits, ends + 1 - hits
        useful = np.flatnonzero(np.diff(above[0], prepend=-1))
        return cls(order, order[kind], order[~kind], above, np.concatenate([[np.inf], falling[ends]]), useful)

    @property
    def once(self) -> _Kinds:
        """Every trial counts once."""
        return _Kinds(np.ones((1, len(self.targets))), np.ones((1, len(self.others))))


def speakers_of(sides: Sides) -> Clusters:
    """Those of all sides: `of` is (2 N,), the left sides before the right ones."""
    names, places = np.unique(np.array([*sides.enrol, *sides.test], dtype=str), return_inverse=True)
    del names
    return Clusters(places.reshape(-1).astype(np.int64), sides.kind, sides.remark)


def _left_out(trials: _Sorted, left: Ints, right: Ints) -> Iterator[_Kinds]:
    """Weights of the trials without each speaker of both sides (N,) and (N,), in parts."""
    kinds = [(left[places], right[places]) for places in (trials.targets, trials.others)]
    num = int(max(left.max(), right.max())) + 1
    step = max(1, _CHUNK // len(left))
    for start in range(0, num, step):
        gone = np.arange(start, min(start + step, num))[:, None]
        yield _Kinds(*(((ours != gone) & (others != gone)).astype(np.float64) for ours, others in kinds))


def _figures(trials: _Sorted, costs: _Costs | None, p_targets: Sequence[float], kinds: _Kinds) -> dict[str, Floats]:
    """Each metric (R,) by its name. NaN where all trials of a kind are left out.

    trials: sorted.
    costs: of each trial at the decisions that its log-likelihood ratio implies. None where there are no ratios.
    p_targets: the priors of the costs.
    kinds: how often each trial counts, R times.
    """
    running = _running(kinds)
    values = {"eer": _crossing(trials, running)}
    misses, alarms = _rates(running, trials.above[:, trials.useful])
    values |= {f"min_dcf_{_percent(p)}": dcf(misses, alarms, p).min(axis=1) for p in p_targets}
    if costs is not None:
        with np.errstate(invalid="ignore"):
            ours = kinds.targets @ costs.targets / running.targets[:, -1:]
            others = kinds.others @ costs.others / running.others[:, -1:]
        values |= dict(zip(costs.names, (ours + others).T, strict=True))
    return values


def _running(kinds: _Kinds) -> _Kinds:
    """(R, P + 1) and (R, M + 1): what the first 0, 1, 2, ... trials of a kind count."""
    sums = []
    for weights in kinds:
        total = np.zeros((weights.shape[0], weights.shape[1] + 1))
        np.cumsum(weights, axis=1, out=total[:, 1:])
        sums.append(total)
    return _Kinds(*sums)


def _rates(running: _Kinds, above: Ints) -> tuple[Floats, Floats]:
    """P_miss and P_fa (R, k) at thresholds that `above` (2, k) trials of each kind reach."""
    with np.errstate(invalid="ignore"):
        alarms = running.others.take(above[1], axis=1) / running.others[:, -1:]
        return 1 - running.targets.take(above[0], axis=1) / running.targets[:, -1:], alarms


def _eer(trials: _Sorted, kinds: _Kinds) -> Floats:
    return _crossing(trials, _running(kinds))


def _crossing(trials: _Sorted, running: _Kinds) -> Floats:
    """(R,) where the polygon through the points of a curve has as many misses as false alarms.

    Misses minus false alarms falls from 1 to -1 with the threshold. Its first value of at most 0 is found by bisection.
    """
    rows = np.arange(len(running.targets))

    def at(places: Ints) -> tuple[Floats, Floats]:
        ours, others = trials.above[:, places]
        with np.errstate(invalid="ignore"):
            alarms = running.others[rows, others] / running.others[:, -1]
            return 1 - running.targets[rows, ours] / running.targets[:, -1], alarms

    before, after = np.zeros(len(rows), np.int64), np.full(len(rows), trials.above.shape[1] - 1)
    while (after - before > 1).any():
        middle = (before + after) // 2
        misses, alarms = at(middle)
        before, after = np.where(misses > alarms, middle, before), np.where(misses > alarms, after, middle)
    (misses, alarms), (later_misses, later_alarms) = at(before), at(after)
    high, low = misses - alarms, later_misses - later_alarms
    return np.asarray(alarms + high / (high - low) * (later_alarms - alarms))


class _Costs(NamedTuple):
    """What each target trial (P, m) and each other trial (M, m) costs, by falling score.

    Each of the m metrics is the mean over target trials plus the mean over the others.
    """

    names: list[str]
    targets: Floats
    others: Floats


def _costs_of(trials: _Sorted, llrs: ArrayLike | None, targets: ArrayLike, p_targets: Sequence[float]) -> _Costs | None:
    if llrs is None:
        return None
    ratios, same = checked_trials(llrs, targets)
    wrong = [(ratios >= -logit(p)) != same for p in p_targets]
    costs = [dcf(cost & same, cost & ~same, p) for cost, p in zip(wrong, p_targets, strict=True)]
    table = np.stack([*costs, _bits(ratios, same) / 2], axis=1)
    names = [*(f"act_dcf_{_percent(p)}" for p in p_targets), "cllr"]
    return _Costs(names, table[trials.targets], table[trials.others])


def _bits(llrs: Floats, same: Bools) -> Floats:
    """(N,) log2(1 + exp(-llr)) of a target trial, log2(1 + exp(llr)) of another."""
    return np.asarray(-log_expit(np.where(same, llrs, -llrs)) / np.log(2))


def _scale_of(name: str) -> Scale:
    """An EER and the lowest cost are at most 1. What decisions cost that are made badly has no bound."""
    return "share" if name == "eer" or name.startswith("min_dcf") else "rate"


def _percent(p_target: float) -> str:
    return f"p{100 * p_target:02.0f}"
