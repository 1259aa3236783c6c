"""Probes with and without gradient features (FUNGI), with few labels.

    python -m benchmarks.gradients --manifests data/wakewords --layer 2 --upstream tera_mini

Vectors, gradients and their principal components are of all training rows, without labels. A linear and a kNN probe
then read a share of the labels, at least two of each class. Draws are the same with and without. Intervals are
Student's over the draws of labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from audiossl.analysis.functionals import Functionals, functionals_of
from audiossl.analysis.gradients import joined_with_gradients
from audiossl.analysis.probes import run_probes
from audiossl.data.manifests import read_manifest
from audiossl.data.subsets import subset
from audiossl.encoders.loading import load_upstream
from benchmarks.common import parser, publish, table
from benchmarks.factors import PARTS, drawn, with_interval, with_labels

SHARES = (10, 20, 50)


def accuracy(splits: Mapping[str, Functionals], probe: str, *, even: bool) -> float:
    """On test, in percent. even: as principal components want it."""
    (found,) = run_probes(splits, [probe], metric="accuracy", even=even)
    return 100 * found.test["accuracy"].value


def main() -> None:
    """Measure, print and write the page."""
    made = parser(__doc__)
    made.add_argument("--manifests", type=Path, required=True, help="folder with train, dev and test manifests")
    made.add_argument("--field", default="label")
    made.add_argument("--share", default="100%", help="of the rows of each split")
    made.add_argument("--upstream", required=True)
    made.add_argument("--layer", type=int, default=2)
    made.add_argument("--draws", type=int, default=10)
    asked = made.parse_args()
    rows = {part: read_manifest(asked.manifests / f"{part}.jsonl.gz") for part in PARTS}
    if asked.share != "100%":
        rows = {part: subset(cuts, asked.share) for part, cuts in rows.items()}
    upstream = load_upstream(asked.upstream)
    plain = {part: functionals_of(upstream, cuts, [asked.layer], field=asked.field) for part, cuts in rows.items()}
    joined = joined_with_gradients(upstream, rows, plain, ["kl", "simclr"], seed=0)
    lines = []
    for probe in ("linear", "knn"):
        for share in SHARES:
            places = [drawn(plain["train"].labels, share, draw, least=2) for draw in range(asked.draws)]
            pairs = [[with_labels(each, few) for each in (plain, joined)] for few in places]
            found = np.array(
                [[accuracy(one, probe, even=False), accuracy(two, probe, even=True)] for one, two in pairs]
            )
            gain = with_interval((found[:, 1] - found[:, 0]).tolist())
            lines.append([probe, f"{share} %", str(len(places[0])), *(f"{v:.1f}" for v in found.mean(axis=0)), gain])
            print(lines[-1], flush=True)
    header = ["probe", "labels", "items", "without (%)", "with gradients (%)", "difference"]
    publish(asked, f"Gradients as features: {asked.field} of {asked.manifests.name}", table(header, lines))


if __name__ == "__main__":
    main()
