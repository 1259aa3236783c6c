"""A Markdown table of what recipes/all_small.sh ran: a row for each task, a column for each encoder.

    python recipes/one_table.py OUT

Each cell has the metric that the task is monitored by, its 95 % interval (over as many speakers, recordings or items
as the second column says), and the seconds of training and evaluation.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from audiossl.core.files import read_json
from audiossl.core.types import Metric
from audiossl.experiments.folder import RunFolder
from audiossl.metrics.formatting import clusters_written, interval_written, with_unit, written


def rows_of(out: Path) -> dict[str, dict[str, tuple[str, str, str]]]:
    """task -> encoder -> (metric, figure, seconds), in the order in which they were run; of each the last counts."""
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    for line in (out / "seconds.tsv").read_text(encoding="utf-8").splitlines():
        task, upstream, seconds = line.split("\t")
        folder = re.sub("[/:]", "_", upstream)  # as the recipes name it
        facts: dict[str, Any] = read_json(RunFolder(out / task / f"{folder}-seed0").split("test").metrics)
        name = facts["monitor"]
        metric = Metric.from_json(facts["metrics"][name])
        over = f", {clusters_written(metric.num_clusters, metric.cluster)}" if metric.num_clusters else ""
        figure = f"{written(name, metric.value)} {interval_written(name, metric)}".strip()
        found.setdefault(task, {})[upstream] = (f"{with_unit(name)}, {facts['num_items']} rows{over}", figure, seconds)
    return found


def table(out: Path) -> str:
    found = rows_of(out)
    upstreams = list(dict.fromkeys(upstream for cells in found.values() for upstream in cells))
    # Of an encoder in a folder, the folder's name.
    lines = [["task", "metric", *(Path(upstream).name for upstream in upstreams)], ["---"] * (2 + len(upstreams))]
    for task, cells in found.items():
        metric = next(iter(cells.values()))[0]
        shown = [f"{cells[name][1]}; {cells[name][2]} s" if name in cells else "" for name in upstreams]
        lines.append([task, metric, *shown])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(table(Path(sys.argv[1])))
