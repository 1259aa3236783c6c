"""A million trials with AS-norm against a cohort of 20,000: ours, one sorted product, and a loop over trials.

    python -m benchmarks.speaker_scoring --rounds 3 --write

The loop does for each trial what recipes do that score one trial after the other: both sides against the whole cohort,
the nearest members, mean and deviation. Its time grows with the trials, so that it gets a sample of them, which ours
then gets as well. The sorted product is what a short script would do: all sides against the cohort at once, every row
sorted. speechbrain (1.1.2) has no normalisation of scores in its package, and wespeaker is in no package index.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
from collections.abc import Callable

import numpy as np

from audiossl.metrics.score_normalization import CohortStatistics, cohort_statistics, normalize_scores
from benchmarks.common import Timing, interleaved, parser, publish, table

TRIALS, RECORDINGS, COHORT, WIDTH, TOP_K, FEW = 1_000_000, 10_000, 20_000, 192, 300, 1000
Statistics = Callable[[np.ndarray, np.ndarray], CohortStatistics]


def units(num: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((num, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ours(sides: np.ndarray, cohort: np.ndarray) -> CohortStatistics:
    return cohort_statistics(sides, cohort, TOP_K)


def sorted_product(sides: np.ndarray, cohort: np.ndarray) -> CohortStatistics:
    best = np.sort(sides @ cohort.T, axis=1)[:, -TOP_K:]
    return CohortStatistics(best.mean(axis=1), best.std(axis=1))


def whole(of: Statistics, vectors: np.ndarray, cohort: np.ndarray, enrol: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Normalised scores of trials, by statistics of each recording that occurs in them."""
    used, places = np.unique(np.concatenate([enrol, test]), return_inverse=True)
    sides, (left, right) = vectors[used], np.split(places, 2)
    scores = np.empty(len(enrol))
    for start in range(0, len(enrol), 2**16):
        part = slice(start, start + 2**16)
        scores[part] = np.einsum("nd,nd->n", sides[left[part]], sides[right[part]])
    statistics = of(sides, cohort)
    return normalize_scores(scores, statistics.of(left), statistics.of(right))


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


def timed(action: Callable[[], object], rounds: int) -> tuple[Timing, float]:
    """The time of an action, and by how many GiB it raised the peak of memory."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timing = interleaved({"": action}, rounds, warmup=0)[""]
    return timing, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 2**20


def main() -> None:
    arguments = parser(__doc__).parse_args()
    rng = np.random.default_rng(0)
    vectors, cohort = units(RECORDINGS, 1), units(COHORT, 2)
    trials = tuple(rng.integers(0, RECORDINGS, TRIALS) for _ in range(2))
    few = tuple(side[:FEW] for side in trials)
    # In the order of their memory, so that each raises the peak by its own.
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        f"audiossl, {FEW:,} trials": (FEW, lambda: whole(ours, vectors, cohort, *few)),
        f"loop, the same {FEW:,}": (FEW, lambda: one_by_one(vectors, cohort, *few)),
        "audiossl, all trials": (TRIALS, lambda: whole(ours, vectors, cohort, *trials)),
        "sorted product, all trials": (TRIALS, lambda: whole(sorted_product, vectors, cohort, *trials)),
    }
    measured = {name: timed(action, arguments.rounds) for name, (_, action) in contestants.items()}
    ours_few, loop, ours_all, in_one = (timing.cpu for timing, _ in measured.values())
    apart = np.abs(whole(ours, vectors, cohort, *few) - one_by_one(vectors, cohort, *few)).max()
    rows = [
        [
            name,
            f"{timing.median:.2f}",
            f"{timing.cpu:.2f}",
            f"{1e6 * timing.cpu / contestants[name][0]:,.0f}",
            f"{more:.2f}",
        ]
        for name, (timing, more) in measured.items()
    ]
    publish(
        arguments,
        "Scoring of speakers",
        f"{TRIALS:,} trials among {RECORDINGS:,} recordings, a cohort of {COHORT:,}, {WIDTH} numbers in single "
        f"precision, the {TOP_K} nearest. Ratios are of CPU time. speechbrain has no "
        "normalisation of scores in its package, and wespeaker is in no package index, so that neither is a row.",
        table(["what", "median s", "median CPU s", "CPU microseconds a trial", "peak raised by GiB"], rows),
        f"On the same {FEW:,} trials, with {len(np.unique(few)):,} recordings in them, the loop takes "
        f"{loop / ours_few:.1f} times as long. It would take {loop * TRIALS / FEW:,.0f} CPU seconds for all trials, "
        f"{loop * TRIALS / FEW / ours_all:,.0f} times as long as ours, which does each recording once. A loop over "
        f"recordings would take {loop * RECORDINGS / (2 * FEW) / ours_all:.1f} times as long (reckoned), and all sides "
        f"as one product, every row of it sorted, {in_one / ours_all:.1f} times. Scores differ from the loop's by at "
        f"most {apart:.1e}.",
    )


if __name__ == "__main__":
    main()
