"""A million trials with AS-norm against a cohort of 20,000, by one matrix product and by a loop over trials.

    python -m benchmarks.speaker_scoring --rounds 3 --write

The loop does for each trial what recipes do that score one trial after the other: both sides against the whole cohort,
the nearest members, mean and deviation. It gets few trials, as its time grows with them. speechbrain (1.1.2) has no
normalisation of scores in its package; its recipes have such a loop.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource

import numpy as np

from audiossl.metrics.score_normalization import cohort_statistics, normalize_scores
from benchmarks.common import interleaved, parser, publish, table

TRIALS, RECORDINGS, COHORT, WIDTH, TOP_K, FEW = 1_000_000, 10_000, 20_000, 192, 300, 200


def units(num: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((num, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ours(vectors: np.ndarray, cohort: np.ndarray, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Normalised scores of all trials."""
    scores = np.empty(len(enrol))
    for start in range(0, len(enrol), 2**16):
        part = slice(start, start + 2**16)
        scores[part] = np.einsum("nd,nd->n", vectors[enrol[part]], vectors[test[part]])
    statistics = cohort_statistics(vectors, cohort, TOP_K)
    return normalize_scores(scores, statistics.of(enrol), statistics.of(test))


def one_by_one(vectors: np.ndarray, cohort: np.ndarray, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The same, trial by trial."""
    found = []
    for left, right in zip(vectors[enrol], vectors[test], strict=True):
        parts = []
        for side in (left, right):
            best = np.sort(cohort @ side)[-TOP_K:]
            parts.append((left @ right - best.mean()) / best.std())
        found.append(sum(parts) / 2)
    return np.array(found)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    rng = np.random.default_rng(0)
    vectors, cohort = units(RECORDINGS, 1), units(COHORT, 2)
    enrol, test = (rng.integers(0, RECORDINGS, TRIALS) for _ in range(2))
    few = enrol[:FEW], test[:FEW]
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = interleaved({"ours": lambda: ours(vectors, cohort, enrol, test)}, arguments.rounds, warmup=0)["ours"]
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 2**20
    loop = interleaved({"loop": lambda: one_by_one(vectors, cohort, *few)}, arguments.rounds, warmup=0)["loop"]
    apart = np.abs(ours(vectors, cohort, *few) - one_by_one(vectors, cohort, *few)).max()
    for_all = loop.cpu * TRIALS / FEW
    rows = [
        [
            "audiossl, whole",
            f"{TRIALS:,}",
            f"{whole.median:.2f}",
            f"{whole.cpu:.2f}",
            f"{1e6 * whole.cpu / TRIALS:.1f}",
        ],
        ["loop over trials", f"{FEW:,}", f"{loop.median:.2f}", f"{loop.cpu:.2f}", f"{1e6 * loop.cpu / FEW:.1f}"],
    ]
    publish(
        arguments,
        "Scoring of speakers",
        f"{TRIALS:,} trials among {RECORDINGS:,} recordings, a cohort of {COHORT:,}, {WIDTH} numbers in single "
        f"precision, the {TOP_K} nearest. The loop's time for all trials is reckoned from {FEW} of them: "
        f"{for_all:,.0f} CPU seconds, {for_all / whole.cpu:,.0f} times as long. With the statistics of each recording "
        f"kept it would do {RECORDINGS:,} sides, {for_all * RECORDINGS / (2 * TRIALS) / whole.cpu:.1f} times as long. "
        f"Scores differ by at most {apart:.1e}. The peak of memory rose by {more:.2f} GiB.",
        table(["what", "trials", "median s", "median CPU s", "CPU microseconds a trial"], rows),
    )


if __name__ == "__main__":
    main()
