"""A Markdown table of runs: the mean of each metric over the seeds of a task and upstream, with a 95 % interval.

    python recipes/mean_over_seeds.py RUN [RUN ...]

Of several seeds, the interval is Student's t over them; of one, that of its test speakers or items. The last column
counts them.
"""

from __future__ import annotations

import math
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from audiossl.core.files import read_json
from audiossl.core.types import Metric
from audiossl.experiments.folder import RunFolder
from audiossl.metrics.formatting import clusters_written

METRICS = ("accuracy", "uar", "ua", "wa", "f1")


def cell(metrics: list[dict[str, Any]]) -> str:
    """`mean [low, high]` in percent."""
    values = np.array([metric["value"] for metric in metrics])
    if len(values) > 1:
        half = float(student_t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / math.sqrt(len(values))
        low, high = values.mean() - half, min(values.mean() + half, 1.0)
    else:
        low, high = metrics[0]["low"], metrics[0]["high"]
    return f"{100 * values.mean():.1f}" + ("" if low is None else f" [{100 * low:.1f}, {100 * high:.1f}]")


def over(found: list[dict[str, Any]]) -> str:
    """What the intervals of a line are over."""
    if len(found) > 1:
        return f"{len(found)} seeds"
    kinds = {(metric.num_clusters, metric.cluster) for metric in map(Metric.from_json, found[0]["metrics"].values())}
    return ", ".join(clusters_written(num, kind) for num, kind in kinds if num is not None)


def table(runs: list[Path]) -> str:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        key = (run.parent.name, re.sub(r"-seed\d+$", "", run.name))
        groups[key].append(read_json(RunFolder(run).split("test").metrics))
    names = [name for name in METRICS if any(name in facts["metrics"] for found in groups.values() for facts in found)]
    header = ["task", "upstream", "runs", "items", *(f"{name} (%)" for name in names), "over"]
    lines = [header, ["---"] * len(header)]
    for (task, upstream), found in groups.items():
        shared = {name for name in names if all(name in facts["metrics"] for facts in found)}
        cells = [cell([facts["metrics"][name] for facts in found]) if name in shared else "" for name in names]
        lines.append([task, upstream, str(len(found)), str(found[0]["num_items"]), *cells, over(found)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(table([Path(name) for name in sys.argv[1:]]))
