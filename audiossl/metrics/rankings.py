"""Which of several systems is the best over several tasks, and how sure that is.

Systems are scored on the same items of each task, so chance moves them together. Each task is a `Contest`: the figures
of its systems, and for each cluster (speaker, recording, item) how much every figure moves without it.

* A draw of a contest is what other clusters might have given. On the scale of the intervals (logit of a share,
  logarithm of a rate) it is the figures plus noise. It is as wide as their intervals are, its correlation is that of
  the moves (the joint jackknife), and its tails are Student's with the degrees of freedom of the jackknife. Of fewer
  than `FEWEST_FREEDOM`, it has the tails of that many within the same interval: one degree would carry a whole mean.
* A draw of a suite takes as many tasks as there are, with replacement, and a draw of each of their contests.
* The interval of a mean rank is between quantiles of such draws. Quantiles of few draws with replacement are too close
  together, so they are taken further out, as Student's t and a variance of T - 1 degrees of freedom ask for (the
  expanded percentiles of Hesterberg, 2015). Of fewer than three tasks there is none.
* A system wins a draw against another if it is ahead on more of the tasks drawn. What third systems do is of no matter
  to that.
* Many pairs on many tasks are tested at once, so that p-values are corrected by Holm (1979).

What it cannot tell: how other training seeds would fare, and how tasks of another kind would. Tasks are taken as drawn
from those that the suite stands for. Noise makes ranks of draws more alike than those of figures without noise, so that
an interval leans towards the middle rank where most of the differences are within noise. In simulations the intervals
of mean ranks hold the truth in 93 to 100 of 100 cases: they are rather too long than too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from audiossl.core.types import Metric
from audiossl.metrics.clusters import SEED, Clusters, Floats
from audiossl.metrics.jackknife import CONFIDENCE, Estimate, Scale, metric_of, middle_of, spread_of

NUM_DRAWS = 4000
FEWEST_TASKS = (
    3  # two differ too little for an interval to be had from them: it would hold the truth in 88 of 100 cases
)
FEWEST_FREEDOM = 4.0
_LEAST, _MOST = 1e-9, 1 - 1e-9  # of a share, whose logit must be finite


class Contest(NamedTuple):
    """U systems on one task.

    values: (U,) their figures.
    middles: (U,) around what draws lie, on their scale: the figures, half an item away from the ends of theirs.
    errors: (U,) standard errors on that scale, 0 where nothing is known of chance.
    directions: (U, G) how the clusters move each of them, of length 1. Rows of 0 move by themselves.
    freedom: (U,) degrees of freedom.
    scale: of the figures.
    lower_is_better: whether the lowest figure is the best.
    """

    values: Floats
    middles: Floats
    errors: Floats
    directions: Floats
    freedom: Floats
    scale: Scale
    lower_is_better: bool = False

    def only(self, places: Sequence[int]) -> Contest:
        """The contest of some of the systems."""
        kept = list(places)
        parts = {name: getattr(self, name)[kept] for name in ("values", "middles", "errors", "directions", "freedom")}
        return self._replace(**parts)

    def draws(self, num: int, seed: int = SEED) -> Floats:
        """(num, U) figures that other clusters might have given, on the scale of the task."""
        generator = np.random.default_rng(seed)
        shared = generator.standard_normal((num, self.directions.shape[1])) @ self.directions.T
        own = generator.standard_normal(shared.shape)
        noise = np.where((self.directions != 0).any(axis=1), shared, own)
        # One quantile of chi squared for all: what widens one system's noise widens that of the others.
        chance = generator.uniform(size=(num, 1))
        noise *= np.sqrt(self.freedom / special.chdtri(self.freedom, chance))  # (num, U)
        return _back(self.middles + self.errors * noise, self.scale)

    def ranks(self, figures: Floats) -> Floats:
        """(..., U) from 1 for the best. Equal figures share the mean of their ranks."""
        from scipy.stats import rankdata  # takes a second to import

        rounded = np.round(figures, 12)
        return np.asarray(rankdata(rounded if self.lower_is_better else -rounded, axis=-1))


class RankedSystems(NamedTuple):
    """What a suite says of U systems.

    mean_rank: (U,) over the tasks, 1 is the best.
    low, high: (U,) of its 95 % interval, None of fewer than `FEWEST_TASKS`.
    wins: (U, U) the share of draws in which the first system (row) is ahead of the second on more tasks, half of ties.
    num_tasks: how many there are.
    """

    mean_rank: Floats
    low: Floats | None
    high: Floats | None
    wins: Floats
    num_tasks: int


def contest_of(estimates: Sequence[Estimate], clusters: Clusters, *, lower_is_better: bool = False) -> Contest:
    """The contest of systems that were scored on the same items.

    estimates: of the U systems, without the same clusters.
    clusters: of the items.
    lower_is_better: whether the lowest figure is the best.
    """
    scale = estimates[0].scale
    moves = np.nan_to_num(np.stack([each.without - each.value for each in estimates]))
    lengths = np.linalg.norm(moves, axis=1, keepdims=True)
    directions = np.divide(moves, lengths, out=np.zeros_like(moves), where=lengths > 1e-12)
    values = np.array([each.value for each in estimates])
    middles, _ = _forth(np.array([middle_of(each, clusters) for each in estimates]), np.zeros(len(values)), scale)
    errors, freedom = np.zeros(len(estimates)), np.full(len(estimates), 1e6)
    for place, each in enumerate(estimates):
        if clusters.num > 1 and np.isfinite(each.without).all():
            _, found = spread_of(each, clusters)
            freedom[place] = max(found, FEWEST_FREEDOM)
            half = _half_length(each, clusters, float(middles[place]), found)
            errors[place] = half / special.stdtrit(freedom[place], (1 + CONFIDENCE) / 2)
    return Contest(values, middles, errors, directions, freedom, scale, lower_is_better)


def _half_length(estimate: Estimate, clusters: Clusters, middle: float, freedom: float) -> float:
    """How far the interval of a figure goes on the scale of draws, on the side on which there is room.

    estimate: of one system.
    clusters: of the items.
    middle: around what draws lie.
    freedom: degrees of freedom of its variance.
    """
    metric, scale = metric_of(estimate, clusters), estimate.scale
    # At an end of the scale the interval is an exact one, and near to it no longer than that.
    end = metric.low if scale == "share" and estimate.value > 0.5 else metric.high
    if end is not None:
        far, _ = _forth(np.array([end]), np.zeros(1), scale)
        return float(abs(far[0] - middle))
    variance, _ = spread_of(estimate, clusters)
    _, error = _forth(np.array([middle_of(estimate, clusters)]), np.array([variance**0.5]), scale)
    return float(error[0] * special.stdtrit(freedom, (1 + CONFIDENCE) / 2))


def contest_of_intervals(metrics: Sequence[Metric], scale: Scale, *, lower_is_better: bool = False) -> Contest:
    """The contest of systems of which nothing but intervals is known. They move by themselves.

    metrics: of the U systems. One without an interval does not move.
    scale: of the figures.
    lower_is_better: whether the lowest figure is the best.
    """
    values = np.array([metric.value for metric in metrics])
    ends = np.array([[m.value, m.value] if m.low is None or m.high is None else [m.low, m.high] for m in metrics])
    middles, _ = _forth(values, np.zeros(len(values)), scale)
    (low, _), (high, _) = (_forth(ends[:, side], np.zeros(len(values)), scale) for side in (0, 1))
    errors = (high - low) / 2 / special.ndtri((1 + CONFIDENCE) / 2)
    still = np.zeros((len(values), 1))
    return Contest(values, middles, errors, still, np.full(len(values), 1e6), scale, lower_is_better)


def rank_systems(contests: Sequence[Contest], *, num_draws: int = NUM_DRAWS, seed: int = SEED) -> RankedSystems:
    """The mean ranks of U systems over T tasks, and the chance of each to be ahead of each other one.

    contests: one for each task, of the same U systems in the same order.
    num_draws: how many draws of the suite.
    seed: of the draws.
    Raises ValueError for no contest.
    """
    if not contests:
        raise ValueError("Systems are ranked by at least one task.")
    num_tasks, num_systems = len(contests), len(contests[0].middles)
    mean_rank = np.mean([contest.ranks(contest.values) for contest in contests], axis=0)
    weights = np.random.default_rng(seed).multinomial(num_tasks, [1 / num_tasks] * num_tasks, size=num_draws)
    ranks = np.zeros((num_draws, num_systems))
    ahead = np.zeros((num_draws, num_systems, num_systems), dtype=np.int16)
    for task, contest in enumerate(contests):
        drawn = contest.ranks(contest.draws(num_draws, seed + 1 + task))
        ranks += weights[:, task, None] * drawn / num_tasks
        signs = np.sign(drawn[:, None, :] - drawn[:, :, None]).astype(np.int16)  # 1 where the row's rank is lower
        ahead += weights[:, task, None, None].astype(np.int16) * signs
    wins = (ahead > 0).mean(axis=0) + (ahead == 0).mean(axis=0) / 2
    if num_tasks < FEWEST_TASKS:
        return RankedSystems(mean_rank, None, None, wins, num_tasks)
    low, high = np.quantile(ranks, _expanded(num_tasks), axis=0)
    return RankedSystems(mean_rank, np.minimum(low, mean_rank), np.maximum(high, mean_rank), wins, num_tasks)


def reference_score(figures: ArrayLike, low: float, high: float) -> Floats:
    """1000 x (figure - low) / (high - low): 0 at the one reference and 1000 at the other (SUPERB, 2021).

    low: the reference of the worse system, which is the higher number for an error rate.
    high: that of the better one.

    >>> float(reference_score(0.05, 0.10, 0.02))
    625.0
    """
    return np.asarray(1000 * (np.asarray(figures, dtype=np.float64) - low) / (high - low))


def mean_scores(
    contests: Sequence[Contest], references: Sequence[tuple[float, float]], *, num_draws: int = NUM_DRAWS
) -> list[Metric]:
    """The mean `reference_score` of U systems over these tasks, with intervals over items. The tasks stay as they are.

    contests: one for each task, of the same systems.
    references: (low, high) of each task.
    num_draws: how many draws.
    """
    pairs = list(zip(contests, references, strict=True))
    values = np.mean([reference_score(contest.values, *ends) for contest, ends in pairs], axis=0)
    drawn = np.mean(
        [reference_score(each.draws(num_draws, SEED + 1 + n), *ends) for n, (each, ends) in enumerate(pairs)], axis=0
    )
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    rows = np.stack([values, np.minimum(low, values), np.maximum(high, values)], axis=1)
    return [Metric(float(value), float(lowest), float(highest)) for value, lowest, highest in rows]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm, 1979). None stays None and counts for nothing.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    known = sorted((value, place) for place, value in enumerate(p_values) if value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for done, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - done)))
        corrected[place] = highest
    return corrected


def _expanded(num_tasks: int) -> list[float]:
    """The two quantiles that T tasks ask for."""
    half = float(special.stdtrit(num_tasks - 1, (1 + CONFIDENCE) / 2))
    level = float(special.ndtr(-np.sqrt(num_tasks / (num_tasks - 1)) * half))
    return [level, 1 - level]


def _forth(values: Floats, errors: Floats, scale: Scale) -> tuple[Floats, Floats]:
    """Figures and their standard errors on the scale of draws."""
    if scale == "real":
        return values, errors
    if scale == "rate":
        kept = np.maximum(values, _LEAST)
        return np.log(kept), errors / kept
    kept = np.clip(values, _LEAST, _MOST)
    return special.logit(kept), errors / (kept * (1 - kept))


def _back(drawn: Floats, scale: Scale) -> Floats:
    if scale == "real":
        return drawn
    return np.asarray(special.expit(drawn) if scale == "share" else np.exp(np.minimum(drawn, 100.0)))
