"""Recognition runs of several seeds: error rates of words and characters, and paired differences between conditions.

    python -m benchmarks.recognition_table runs/compare/tera/asr --pair 6-blocks-frozen T+F+M-frozen

A run is a folder named CONDITION-seedN that was evaluated on test. Conditions that are compared share their seeds:
others are left out of the comparison.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.jackknife import metric_of
from audiossl.metrics.ratios import ratio_estimate
from audiossl.report.estimates import Scored, average_run, paired, scored_together
from audiossl.report.runs import read_run
from benchmarks.common import table

Conditions = Mapping[str, Mapping[int, Path]]  # runs by seed


def conditions_of(folder: Path) -> Conditions:
    """Runs with a test evaluation below a folder."""
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    for metrics in sorted(folder.glob("*-seed*/test/metrics.json")):
        name, _, seed = metrics.parents[1].name.rpartition("-seed")
        found[name][int(seed)] = metrics.parents[1]
    return found


def scored_run(run: Path, measure: str) -> Scored:
    """A run's word error rate (wer), or its error rate of characters (cer)."""
    rows = list(read_run(run).evaluations["test"].comparable().values())
    if measure == "wer":
        return scored_together([rows], "wer")[0]
    clusters = clusters_of_rows(rows, "speaker")
    wrong = np.array([float(Levenshtein.distance(row["target"], row["predicted"])) for row in rows])
    size = np.array([float(len(row["target"])) for row in rows])
    return Scored("cer", ratio_estimate(wrong, size, clusters), clusters, wrong)


def mean_of_seeds(runs: Mapping[int, Path], seeds: Sequence[int], measure: str) -> Scored:
    """The mean over some seeds."""
    return average_run([scored_run(runs[seed], measure) for seed in seeds])


def rate_cell(found: Scored) -> str:
    """A rate in percent with its interval."""
    metric = metric_of(found.estimate, found.clusters)
    bounds = "" if metric.low is None or metric.high is None else f" [{100 * metric.low:.1f}, {100 * metric.high:.1f}]"
    return f"{100 * metric.value:.1f}{bounds}"


def difference_cell(one: Scored, other: Scored) -> str:
    """The first minus the second, in points."""
    gap = paired(one, other)
    bounds = "" if gap.low is None or gap.high is None else f" [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    return f"{100 * gap.value:+.1f}{bounds}"


def pair_row(first: str, second: str, conditions: Conditions) -> list[str]:
    """Both measures of one condition minus another, over the seeds that both have."""
    seeds = sorted(conditions[first].keys() & conditions[second].keys())
    cells = [
        difference_cell(*(mean_of_seeds(conditions[name], seeds, measure) for name in (first, second)))
        for measure in ("wer", "cer")
    ]
    return [f"{first} minus {second}", str(len(seeds)), *cells]


def main() -> None:
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("runs", type=Path, help="folder of the runs")
    made.add_argument("--pair", nargs=2, action="append", default=[], metavar=("CONDITION", "OTHER"))
    arguments = made.parse_args()
    conditions = conditions_of(arguments.runs)
    rates = [
        [
            name,
            str(len(runs)),
            *(rate_cell(mean_of_seeds(runs, sorted(runs), measure)) for measure in ("wer", "cer")),
        ]
        for name, runs in conditions.items()
    ]
    print(table(["condition", "seeds", "WER %", "CER %"], rates), "\n")
    pairs = [pair_row(first, second, conditions) for first, second in arguments.pair]
    print(table(["difference", "seeds", "WER, points", "CER, points"], pairs))


if __name__ == "__main__":
    main()
