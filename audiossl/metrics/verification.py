"""Errors of speaker verification: EER, DCF, Cllr and DET points, with intervals over speakers.

A trial is a score and whether its two sides are one speaker (a target trial). Trials are sorted once. Every error rate
is then a cumulative sum, and every draw of the bootstrap one more row of weights.

* EER: where the ROC curve, its points (one for each distinct score) joined by straight lines, has as many misses as
  false alarms. Tied scores are one point, so their order does not matter. This is the crossing that is usually solved
  for on scikit-learn's `roc_curve`.
* DCF at p: (p * P_miss + (1 - p) * P_fa) / min(p, 1 - p), both costs 1 (NIST's normalisation: 1 is what a system costs
  that never listens). minDCF takes the best threshold of the trials themselves, actDCF the one that log-likelihood
  ratios imply, log((1 - p) / p).
* Cllr: mean cost in bits of log-likelihood ratios over all thresholds (Brümmer and du Preez, 2006). minCllr is what is
  left of it after the best monotone map of the scores (pool adjacent violators).

Trials of one speaker are not independent, so whole speakers are drawn: a target trial counts as often as its speaker
was drawn, a trial of two speakers as often as the product of their counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, logit, xlogy

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.core.types import Metric
from audiossl.metrics.bootstrap import NUM_RESAMPLES, SEED, Difference, Floats, Ints, interval, intervals_wanted

Bools = NDArray[np.bool_]
Sides = tuple[Sequence[str], Sequence[str]]

P_TARGETS = (0.01, 0.05)
_CHUNK = 2**20  # most weights held at once: 8 MB, and a few arrays of that size beside them
_MOST_WEIGHTS = 4e8  # weights drawn in all: above 200 000 trials there are fewer resamples,
_LEAST_RESAMPLES = 400  # but never fewer than these


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
    num_resamples: int | None = None,
    seed: int = SEED,
) -> dict[str, Metric]:
    """`eer`, `min_dcf_pXX` and, with log-likelihood ratios, `act_dcf_pXX` and `cllr` of N trials, with 95 % intervals.

    scores: (N,).
    targets: (N,) whether both sides are one speaker.
    sides: (N,) and (N,), the speakers of the two sides of each trial (or the items, where speakers are not known). The
        bootstrap draws them. Without them, or with a single one, there are no intervals.
    llrs: (N,) log-likelihood ratios (natural logarithm).
    p_targets: the priors of the costs, the XX of their names in hundredths.
    num_resamples: how many draws the intervals are of. None for 2000, and fewer above 200 000 trials (400 of a
        million), so that time stays bounded. Memory always is.
    seed: of the draws.
    Raises LabelError without both kinds of trials.
    """
    trials = _Sorted.of(scores, targets)
    # The values are those of the trials as they are, the intervals those of draws of speakers, by the same function.
    costs = None if llrs is None else _costs_of(trials, llrs, targets, p_targets)
    values = _figures(trials, costs, p_targets, trials.once)
    count = resamples_for(len(trials.order)) if num_resamples is None else num_resamples
    resampled = _resampled(trials, sides, count, seed) if intervals_wanted() else ()
    drawn = [_figures(trials, costs, p_targets, kinds) for kinds in resampled]
    return {
        name: Metric(float(value[0]), *(interval(np.concatenate([part[name] for part in drawn])) if drawn else ()))
        for name, value in values.items()
    }


def paired_eer(
    first: ArrayLike,
    second: ArrayLike,
    targets: ArrayLike,
    sides: Sides,
    *,
    num_resamples: int | None = None,
    seed: int = SEED,
) -> Difference:
    """EER of the first system minus that of the second on the same trials, in the same order.

    first: (N,) scores of the first system.
    second: (N,) scores of the second.
    targets: (N,) whether both sides are one speaker.
    sides: (N,) and (N,), the speakers of the two sides, who are drawn.
    num_resamples: how many draws the interval is of. None as in `verification_metrics`.
    seed: of the draws.
    """
    value = equal_error_rate(first, targets) - equal_error_rate(second, targets)
    draws = [
        resampled_eer(scores, targets, sides, num_resamples=num_resamples, seed=seed) for scores in (first, second)
    ]
    drawn = draws[0] - draws[1]
    if not len(drawn):
        return Difference(value, None, None, None)
    smaller_side = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return Difference(value, *interval(drawn), min(1.0, 2 * (smaller_side + 1) / (len(drawn) + 1)))


def sides_of(trials: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """The speakers of both sides of each trial, as predictions name them. Recordings where a speaker is not known."""
    known = all(row.get("speaker_enrol") is not None and row.get("speaker_test") is not None for row in trials)
    keys = ("speaker_enrol", "speaker_test") if known else ("enrol", "test")
    left, right = ([str(row[key]) for row in trials] for key in keys)
    return left, right


def resampled_eer(
    scores: ArrayLike, targets: ArrayLike, sides: Sides, *, num_resamples: int | None = None, seed: int = SEED
) -> Floats:
    """(R,) the EER of each draw of speakers. Empty where all sides are one speaker.

    scores: (N,). The draws do not depend on them.
    targets: (N,) whether both sides are one speaker.
    sides: (N,) and (N,), the speakers of the two sides, who are drawn.
    num_resamples: R. None as in `verification_metrics`.
    seed: of the draws.
    """
    trials = _Sorted.of(scores, targets)
    count = resamples_for(len(trials.order)) if num_resamples is None else num_resamples
    parts = [_eer(trials, kinds) for kinds in _resampled(trials, sides, count, seed)]
    return np.concatenate(parts) if parts else np.zeros(0)


def resamples_for(num_trials: int) -> int:
    """How many draws a list of this length gets.

    >>> [resamples_for(count) for count in (1_000, 200_000, 500_000, 10_000_000)]
    [2000, 2000, 800, 400]
    """
    return int(min(NUM_RESAMPLES, max(_LEAST_RESAMPLES, _MOST_WEIGHTS // num_trials)))


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


def _resampled(trials: _Sorted, sides: Sides | None, num_resamples: int, seed: int) -> Iterator[_Kinds]:
    """Weights of R draws of speakers, in parts. The draws depend on the speakers, R and the seed alone."""
    if sides is None:
        return
    names, places = np.unique(np.array([*sides[0], *sides[1]], dtype=str), return_inverse=True)
    left, right = places.reshape(2, -1)
    if len(left) != len(trials.order):
        raise ValueError(f"{len(left)} pairs of speakers for {len(trials.order)} trials; there must be one for each.")
    if len(names) < 2:
        return
    rng = np.random.default_rng(seed)
    kinds = [(left[places], right[places]) for places in (trials.targets, trials.others)]
    step = max(1, _CHUNK // max(len(left), len(names)))
    for start in range(0, num_resamples, step):
        size = min(step, num_resamples - start)
        draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size).astype(np.float64)
        yield _Kinds(*(_product(draws, *pair) for pair in kinds))


def _product(draws: Floats, left: Ints, right: Ints) -> Floats:
    """(R, N) from (R, S) counts of speakers: the count of one speaker, the product of those of two."""
    weights = draws.take(left, axis=1)
    two = left != right
    if two.all():
        weights *= draws.take(right, axis=1)
    elif two.any():
        weights[:, two] *= draws.take(right[two], axis=1)
    return weights


def _figures(trials: _Sorted, costs: _Costs | None, p_targets: Sequence[float], kinds: _Kinds) -> dict[str, Floats]:
    """Each metric (R,) by its name. NaN in a draw that has lost all trials of a kind.

    trials: sorted.
    costs: of each trial at the decisions that its log-likelihood ratio implies. None where there are no ratios.
    p_targets: the priors of the costs.
    kinds: how often each trial counts in R draws.
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


def _costs_of(trials: _Sorted, llrs: ArrayLike, targets: ArrayLike, p_targets: Sequence[float]) -> _Costs:
    ratios, same = checked_trials(llrs, targets)
    wrong = [(ratios >= -logit(p)) != same for p in p_targets]
    costs = [dcf(cost & same, cost & ~same, p) for cost, p in zip(wrong, p_targets, strict=True)]
    table = np.stack([*costs, _bits(ratios, same) / 2], axis=1)
    names = [*(f"act_dcf_{_percent(p)}" for p in p_targets), "cllr"]
    return _Costs(names, table[trials.targets], table[trials.others])


def _bits(llrs: Floats, same: Bools) -> Floats:
    """(N,) log2(1 + exp(-llr)) of a target trial, log2(1 + exp(llr)) of another."""
    return np.asarray(-log_expit(np.where(same, llrs, -llrs)) / np.log(2))


def _percent(p_target: float) -> str:
    return f"p{100 * p_target:02.0f}"
