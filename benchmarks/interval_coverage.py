"""How often the 95 % intervals hold the truth, and how often paired tests see a difference where there is none.

    python -m benchmarks.interval_coverage --write

Made-up test sets of known populations go through the functions that the tasks call. Speakers differ: each has a chance
of its own to be right, drawn from a beta distribution whose intra-class correlation is given; error rates and scores
likewise. Everything follows from a seed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from audiossl.core.types import Metric
from audiossl.metrics.classification import classification_metrics
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Difference
from audiossl.metrics.multilabel import multilabel_metrics
from audiossl.metrics.ratios import paired_difference, score_mean, score_ratio
from audiossl.metrics.verification import Sides, paired_eer, verification_metrics
from benchmarks.common import parser, publish, table

Rng = np.random.Generator
SPEAKERS, ITEMS = (2, 3, 5, 10, 30, 100), (10, 100, 1000)
SHARES, RATES, CORRELATIONS = (0.5, 0.85, 0.97), (0.05, 0.15, 0.5), (0.1, 0.3)
LOW = 0.93
RECALLS, CLASS_SHARES = np.array([0.97, 0.9, 0.8, 0.7]), np.array([0.45, 0.3, 0.15, 0.1])


class Setting(NamedTuple):
    """A kind of test set.

    speakers: 0 where each item stands alone.
    items: how many.
    uneven: whether speakers have very different numbers of them.
    correlation: of two items of one speaker.
    """

    speakers: int
    items: int
    uneven: bool
    correlation: float

    def clusters(self, rng: Rng) -> Clusters:
        if not self.speakers:
            return Clusters(np.arange(self.items), "item")
        shares = rng.gamma(1.5, size=self.speakers) if self.uneven else np.ones(self.speakers)
        rest = self.items - self.speakers
        sizes = 1 + (
            rng.multinomial(rest, shares / shares.sum())
            if self.uneven
            else (rest // self.speakers + (np.arange(self.speakers) < rest % self.speakers))
        )
        return Clusters(np.repeat(np.arange(self.speakers), sizes), "speaker")

    def chances(self, share: float, clusters: Clusters, rng: Rng) -> np.ndarray:
        """(N,) the chance of each item to be right."""
        if not self.speakers or not self.correlation:
            return np.full(self.items, share)
        spread = (1 - self.correlation) / self.correlation
        return rng.beta(share * spread, (1 - share) * spread, size=self.speakers)[clusters.of]


class Found(NamedTuple):
    """Of many sets: how often there was an interval, and the truth lay in, below and above it, and its median width."""

    given: float
    inside: float
    below: float
    above: float
    width: float


def accuracy_of(share: float) -> Callable[[Setting, Rng], Metric]:
    def draw(setting: Setting, rng: Rng) -> Metric:
        clusters = setting.clusters(rng)
        return score_mean(rng.random(setting.items) < setting.chances(share, clusters, rng), clusters)

    return draw


def error_rate_of(rate: float) -> Callable[[Setting, Rng], Metric]:
    """Speakers' and items' rates are gamma distributed: with the correlation, and with twice the mean as variance."""

    def draw(setting: Setting, rng: Rng) -> Metric:
        clusters = setting.clusters(rng)
        words = 1 + rng.poisson(9, setting.items)
        rates = np.full(setting.items, rate)
        if setting.speakers and setting.correlation:
            shape = rate / ((1 - rate) * setting.correlation)
            rates = rng.gamma(shape, rate / shape, setting.speakers)[clusters.of]
        rates = rates * rng.gamma(2.0, 0.5, setting.items)
        return score_ratio(rng.poisson(words * rates), words, clusters)

    return draw


def recall_of(setting: Setting, rng: Rng) -> Metric:
    """Four classes, the rarest a tenth of the items, with recalls of 0.97 to 0.7. Each occurs in a set."""
    clusters = setting.clusters(rng)
    truth = rng.choice(4, p=CLASS_SHARES, size=setting.items)
    truth[:4] = np.arange(4)
    rng.shuffle(truth)
    chances = np.stack([setting.chances(recall, clusters, rng) for recall in RECALLS])
    right = rng.random(setting.items) < chances[truth, np.arange(setting.items)]
    guesses = np.where(right, truth, (truth + rng.integers(1, 4, setting.items)) % 4)
    return classification_metrics(list(map(str, truth)), list(map(str, guesses)), clusters)["uar"]


def trials_of(speakers: int, each: int, gap: float, rng: Rng) -> tuple[np.ndarray, np.ndarray, Sides, np.ndarray]:
    """All pairs of `each` recordings of the speakers: scores of two systems (2, N), targets, sides.

    Half of the variance is that of speakers (of both sides), half that of trials. Both systems' EER is Phi(-gap / 2).
    """
    who = np.repeat(np.arange(speakers), each)
    left, right = np.triu_indices(len(who), 1)
    if len(left) > 4000:
        some = rng.choice(len(left), 4000, replace=False)
        same = np.flatnonzero(who[left] == who[right])
        some = np.unique(np.concatenate([some, same]))
        left, right = left[some], right[some]
    targets = who[left] == who[right]
    scores = []
    common = rng.standard_normal((2, speakers))
    for _ in range(2):
        own = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.standard_normal((2, speakers))
        alike = own[0, who[left]] * np.sqrt(0.5)
        apart = (own[1, who[left]] + own[1, who[right]]) * 0.5
        noise = np.sqrt(0.5) * rng.standard_normal(len(left))
        scores.append(np.where(targets, gap + alike, apart) + noise)
    sides = Sides(list(map(str, who[left])), list(map(str, who[right])))
    return np.stack(scores), targets, sides, who


def equal_error_of(rate: float) -> Callable[[Setting, Rng], Metric]:
    gap = float(-2 * norm.ppf(rate))

    def draw(setting: Setting, rng: Rng) -> Metric:
        scores, targets, sides, _ = trials_of(setting.speakers, setting.items, gap, rng)
        return verification_metrics(scores[0], targets, sides)["eer"]

    return draw


def precision_of(setting: Setting, rng: Rng) -> Metric:
    """Mean AUROC of three classes whose positives score higher by 1.5 deviations, speakers by theirs."""
    clusters = setting.clusters(rng)
    targets = rng.random((setting.items, 3)) < 0.3
    targets[:2] = [[True] * 3, [False] * 3]
    own = rng.standard_normal((max(setting.speakers, 1), 3))
    gaps = 1.5 + np.sqrt(2 * setting.correlation) * own[clusters.of] if setting.speakers else 1.5
    noise = rng.standard_normal(targets.shape)
    return multilabel_metrics(targets, targets * gaps + noise, clusters)["auroc"]


def true_area(setting: Setting) -> float:
    """Of positives with mean 1.5 and variance 1 + 2 c against negatives with variance 1."""
    return float(norm.cdf(1.5 / np.sqrt(2 + (2 * setting.correlation if setting.speakers else 0))))


def coverage(draw: Callable[[Setting, Rng], Metric], setting: Setting, truth: float, sets: int) -> Found:
    rng = np.random.default_rng(0)
    metrics = [draw(setting, rng) for _ in range(sets)]
    bounds = np.array([(metric.low, metric.high) for metric in metrics if metric.low is not None], dtype=np.float64)
    if not len(bounds):
        return Found(0.0, *[float("nan")] * 4)
    low, high = bounds.T
    return Found(
        len(bounds) / sets,
        float(((low <= truth) & (truth <= high)).mean()),
        float((truth < low).mean()),
        float((truth > high).mean()),
        float(np.median(high - low)),
    )


def checked_coverage(draw: Callable[[Setting, Rng], Metric], setting: Setting, truth: float, sets: int) -> Found:
    """A coverage that looks low is measured again with five times as many sets: of hundreds, some are low by chance."""
    found = coverage(draw, setting, truth, sets)
    return coverage(draw, setting, truth, 5 * sets) if found.inside < LOW else found


def cases() -> Iterator[tuple[str, str, Callable[[Setting, Rng], Metric], Setting, float]]:
    """(metric, what its truth is, draws, the setting, the truth) of all that is measured."""
    for speakers in (0, *SPEAKERS):
        for items in ITEMS:
            if items < speakers:
                continue
            for correlation in CORRELATIONS if speakers else (0.0,):
                for uneven in (False, True) if speakers else (False,):
                    setting = Setting(speakers, items, uneven, correlation)
                    for share in SHARES:
                        yield "accuracy", f"{share:g}", accuracy_of(share), setting, share
                    for rate in RATES:
                        yield "WER", f"{rate:g}", error_rate_of(rate), setting, rate
                    if not uneven:
                        yield "UAR", "", recall_of, setting, float(RECALLS.mean())
                        if items > 10:
                            yield "AUROC", "", precision_of, setting, true_area(setting)
    for speakers in SPEAKERS:
        for each in (4, 10):
            for rate in (0.03, 0.15):
                setting = Setting(speakers, each, False, 0.5)
                yield "EER", f"{rate:g}", equal_error_of(rate), setting, rate


def compared(kind: str, speakers: int, items: int, uneven: bool, sets: int) -> tuple[float, float, float]:
    """(share of sets with an interval without 0, with p < 0.05, with p < 0.01), of two systems that are equal."""
    rng = np.random.default_rng(1)
    found = [_null(kind, Setting(speakers, items, uneven, 0.1), rng) for _ in range(sets)]
    away = np.mean(
        [each.low is not None and each.high is not None and not each.low <= 0 <= each.high for each in found]
    )
    chances = np.array([1.0 if each.p_value is None else each.p_value for each in found])
    return float(away), float((chances < 0.05).mean()), float((chances < 0.01).mean())


def _null(kind: str, setting: Setting, rng: Rng) -> Difference:
    """Two systems that share what is hard, and of which each has speakers that it is better on."""
    if kind == "EER":
        scores, targets, sides, _ = trials_of(setting.speakers, 6, 2.0, rng)
        return paired_eer(scores[0], scores[1], targets, sides)
    clusters = setting.clusters(rng)
    hard = rng.random(setting.items)
    tilt = 0.1 * rng.standard_normal(clusters.num)[clusters.of]
    share = setting.chances(0.85, clusters, rng)
    if kind == "accuracy":
        noise = 0.1 * rng.standard_normal((2, setting.items))
        ours, theirs = (hard + noise[0] < share + tilt), (hard + noise[1] < share - tilt)
        return paired_difference(ours, theirs, clusters)
    words = 1 + rng.poisson(9, setting.items)
    rates = np.clip((1 - share) * (0.5 + hard), 0, None)
    ours, theirs = (rng.poisson(words * rates * np.exp(sign * 3 * tilt)) for sign in (1, -1))
    return paired_difference(ours, theirs, clusters, units=words)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sets", type=int, default=1000, help="test sets of a setting")
    arguments = options.parse_args()
    covered = [(*case[:2], case[3], checked_coverage(*case[2:], arguments.sets)) for case in cases()]
    publish(
        arguments,
        "Coverage of intervals",
        f"{arguments.sets} test sets of each setting, so that 95 % is measured to within 2. Where less than 93 % came "
        "out, five times as many were drawn. The correlation is that of two items of one speaker: 0.1 is usual, 0.3 is "
        "a corpus with few hopeless speakers. At a share of 0.97 or an error rate of 0.05, most speakers are then "
        "perfect. EER: half the variance of a score is that of the speakers.",
        summary_table(covered),
        *coverage_tables(covered),
        paired_table(arguments.sets),
    )


def summary_table(covered: list[tuple[str, str, Setting, Found]]) -> str:
    """The lowest coverage of each metric, over all truths, numbers of items and ways to spread them over speakers."""
    metrics = list(dict.fromkeys(row[0] for row in covered))
    lines = []
    for key in dict.fromkeys((row[2].speakers, row[2].correlation) for row in covered if row[0] != "EER"):
        cells = []
        for metric in metrics:
            found = [row[3] for row in covered if row[0] == metric and row[2].speakers == key[0]]
            if metric != "EER":
                found = [row[3] for row in covered if row[0] == metric and (row[2].speakers, row[2].correlation) == key]
            given = [each.inside for each in found if each.given]
            cells.append(f"{100 * min(given):.1f}" if given else "none")
        lines.append([str(key[0] or "items"), f"{key[1]:g}", *cells])
    return "## Lowest coverage (%)\n\n" + table(["speakers", "correlation", *metrics], lines)


def coverage_tables(covered: list[tuple[str, str, Setting, Found]]) -> Iterator[str]:
    for metric in dict.fromkeys(row[0] for row in covered):
        rows = [row for row in covered if row[0] == metric]
        lines = []
        for key in dict.fromkeys((row[2].speakers, row[2].correlation, row[1]) for row in rows):
            own = [row for row in rows if (row[2].speakers, row[2].correlation, row[1]) == key]
            cells = []
            for items in dict.fromkeys(row[2].items for row in rows):
                found = [row[3] for row in own if row[2].items == items]
                worst = min(found, key=lambda each: each.inside) if found else None
                cells.append(_written(worst) if worst else "")
            lines.append([str(key[0] or "items"), f"{key[1]:g}", key[2], *cells])
        items = [f"{items}" for items in dict.fromkeys(row[2].items for row in rows)]
        unit = "recordings each" if metric == "EER" else "items"
        what = "Coverage in %; in brackets how often the truth lay below and above, and the median width."
        head = ["speakers", "correlation", "truth", *(f"{n} {unit}" for n in items)]
        yield f"## {metric}\n\n{what}\n\n" + table(head, lines)


def _written(found: Found) -> str:
    if not found.given:
        return "none"
    some = f" of {100 * found.given:.0f} %" if found.given < 1 else ""
    return f"{100 * found.inside:.1f}{some} ({100 * found.below:.1f} / {100 * found.above:.1f}; {found.width:.3f})"


def paired_table(sets: int) -> str:
    lines = []
    for kind in ("accuracy", "WER", "EER"):
        for speakers in SPEAKERS:
            for items, uneven in ((1000, False), (1000, True), (100, False)) if kind != "EER" else ((0, False),):
                figures = compared(
                    kind, speakers, items, uneven, sets if speakers < 100 or kind != "EER" else sets // 4
                )
                size = f"{items}{', uneven' if uneven else ''}" if items else "6 each"
                lines.append([kind, str(speakers), size, *(f"{100 * figure:.1f}" for figure in figures)])
    head = ["metric", "speakers", "items", "interval without 0 (%)", "p < 0.05 (%)", "p < 0.01 (%)"]
    return "## Paired tests of two equal systems\n\n" + table(head, lines)


if __name__ == "__main__":
    main()
