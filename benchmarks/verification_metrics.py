"""Verification metrics: a million trials in one go, and speechbrain's and scikit-learn's ways on what they survive.

    python -m benchmarks.verification_metrics --rounds 5 --write

EER, minDCF at two priors, actDCF and Cllr of a million trials, and the time that their intervals take.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from audiossl.metrics.verification import Sides, equal_error_rate, min_cllr, min_dcf, verification_metrics
from benchmarks.common import interleaved, parser, publish, table

MANY, LISTED, FEW = 1_000_000, 37_720, 3_000  # the second: about as many as VoxCeleb1's original list has
SPEAKERS = 1_000


def made(num: int) -> tuple[np.ndarray, np.ndarray, Sides]:
    """Scores around 0 and 2 with a deviation of 1, a tenth of one speaker; both sides' speakers."""
    rng = np.random.default_rng(0)
    targets = rng.random(num) < 0.1
    left = rng.integers(0, SPEAKERS, num)
    right = np.where(targets, left, (left + rng.integers(1, SPEAKERS, num)) % SPEAKERS)
    return rng.standard_normal(num) + 2 * targets, targets, Sides(list(map(str, left)), list(map(str, right)))


def of_scikit_learn(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """EER as most recipes find it, and minDCF at 0.01, on the curve with every threshold."""
    alarms, hits, _ = roc_curve(targets, scores, drop_intermediate=False)
    rate = float(brentq(lambda x: 1.0 - x - interp1d(alarms, hits)(x), 0.0, 1.0))
    return rate, float(((0.01 * (1 - hits) + 0.99 * alarms) / 0.01).min())


def of_speechbrain(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Its minDCF is not normalised: over the prior it is ours."""
    from speechbrain.utils.metric_stats import EER, minDCF

    positive, negative = (torch.from_numpy(scores[kind]) for kind in (targets, ~targets))
    return float(EER(positive, negative)[0]), float(minDCF(positive, negative, p_target=0.01)[0]) / 0.01


def ours(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    return equal_error_rate(scores, targets), min_dcf(scores, targets, 0.01)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    lines: list[list[str]] = []

    def time(title: str, num: int, rounds: int, action: object) -> None:
        timing = interleaved({title: action}, rounds)[title]  # type: ignore[dict-item]
        lines.append([title, f"{num:,}", f"{timing.median:.3f}", f"{timing.cpu:.3f}"])

    scores, targets, sides = made(MANY)
    llrs = 2 * scores - 2
    both = {"audiossl": ours(scores, targets), "scikit-learn": of_scikit_learn(scores, targets)}
    rounds = arguments.rounds
    time("audiossl, all six point metrics", MANY, rounds, lambda: verification_metrics(scores, targets, llrs=llrs))
    time("audiossl, EER and minDCF, one after the other", MANY, rounds, lambda: ours(scores, targets))
    time("scikit-learn's curve, interp1d and brentq", MANY, rounds, lambda: of_scikit_learn(scores, targets))
    time("audiossl, minCllr", MANY, rounds, lambda: min_cllr(scores, targets))
    time(
        "audiossl, all six with intervals",
        MANY,
        1,
        lambda: verification_metrics(scores, targets, sides, llrs),
    )
    scores, targets, sides = made(LISTED)
    time(
        "audiossl, all six with intervals",
        LISTED,
        1,
        lambda: verification_metrics(scores, targets, sides, 2 * scores - 2),
    )
    scores, targets, _ = made(FEW)
    both |= {f"audiossl, {FEW:,}": ours(scores, targets), f"speechbrain, {FEW:,}": of_speechbrain(scores, targets)}
    time("audiossl, EER and minDCF, one after the other", FEW, rounds, lambda: ours(scores, targets))
    time("speechbrain, EER and minDCF", FEW, rounds, lambda: of_speechbrain(scores, targets))
    values = table(
        ["figures", "EER", "minDCF (0.01)"], [[name, f"{a:.6f}", f"{b:.6f}"] for name, (a, b) in both.items()]
    )
    publish(
        arguments,
        "Verification metrics",
        "Scores of made-up trials, a tenth of them of one speaker, 1000 speakers; no ties. speechbrain's time grows "
        "with the square of the trials, so it gets few. Its EER is the mean of both rates where they are closest; its "
        "minDCF is divided by the prior here.",
        table(["what", "trials", "median s", "median CPU s"], lines),
        values,
    )


if __name__ == "__main__":
    main()
