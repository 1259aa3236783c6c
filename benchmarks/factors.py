"""Utterance factors against the mean over time, with fewer and fewer labels.

    python -m benchmarks.factors --manifests data/fsdd --share 25% --layer 2 --upstream tera_mini --write

Units and factors are fitted on the training rows without labels. Then a logistic regression (`audiossl probe`) reads
the mean, mean and deviation, or the factors of a layer, from a share of the labels. Its C is chosen on dev. Draws of
labels are the same for all. Intervals of differences are Student's over the draws.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lhotse import CutSet
from lhotse.cut import Cut
from scipy.stats import t as student
from torch import Tensor

from audiossl.analysis.functionals import Functionals, collected
from audiossl.analysis.probes import run_probes
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.subsets import subset
from audiossl.features.config import CacheConfig
from audiossl.features.factors.config import FactorsOptions
from audiossl.features.factors.fitted import Factors
from audiossl.features.factors.fitting import fit_factor_analysis
from audiossl.features.source import statistics_of
from audiossl.features.units.states import layer_states
from benchmarks.common import parser, publish, table

SHARES = (5, 10, 20, 50, 100)
KINDS = ("mean", "mean and deviation", "factors")
PARTS = ("train", "dev", "test")


def vectors_of(factors: Factors, rows: Mapping[str, CutSet], field: str) -> dict[str, Functionals]:
    """Vectors of each kind, under its number."""
    upstream, model, cache = factors.units.load_encoder(), factors.model(), CacheConfig()

    def batches(cuts: CutSet) -> Iterator[tuple[list[Cut], list[Tensor]]]:
        for cut, states in layer_states(upstream, cuts, factors.card.layer, cache=cache):
            moments = statistics_of(states[None].cpu(), torch.tensor([len(states)]))
            yield [cut], [moments[:, : states.shape[1]], moments, factors.of_states(model, states.cpu())[None]]

    return {part: collected(batches(cuts), range(len(KINDS)), field=field) for part, cuts in rows.items()}


def accuracies(splits: Mapping[str, Functionals], cuts: CutSet, share: int, draw: int) -> list[float]:
    """Of each kind on test, in percent, from a share of the training labels."""
    train = splits["train"]
    kept = {cut.id for cut in (subset(cuts, f"{share}%", draw) if share < 100 else cuts)}
    places = np.array([place for place, name in enumerate(train.ids) if name in kept])
    few = train._replace(
        ids=[train.ids[place] for place in places],
        labels=[train.labels[place] for place in places],
        layers={layer: vectors[places] for layer, vectors in train.layers.items()},
    )
    found = run_probes({**splits, "train": few}, ["linear"], metric="accuracy")
    return [100 * row.test["accuracy"].value for row in found]


def curve(name: str, rows: Mapping[str, CutSet], folder: Path, asked: argparse.Namespace) -> list[list[str]]:
    """The lines of an encoder."""
    write_manifests({"pool": rows["train"]}, folder)
    options = FactorsOptions(layer=asked.layer, clusters=asked.clusters, rank=asked.rank)
    factors = fit_factor_analysis(name, [folder / "pool.jsonl.gz"], options, cache=CacheConfig())
    splits = vectors_of(factors, rows, asked.field)
    lines = []
    for share in SHARES:
        draws = range(asked.draws if share < 100 else 1)
        found = np.array([accuracies(splits, rows["train"], share, draw) for draw in draws])  # (draws, kinds)
        labels = len(rows["train"]) * share // 100
        gains = found[:, -1] - found[:, 0]
        cells = [f"{value:.1f}" for value in found.mean(axis=0)]
        lines.append([Path(name).name, f"{share} %", str(labels), *cells, with_interval(gains.tolist())])
        print(lines[-1], flush=True)
    return lines


def with_interval(values: Sequence[float]) -> str:
    """A mean, with its interval where there are several values."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:+.1f}"
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:+.1f} [{mean - half:.1f}, {mean + half:.1f}]"


def main() -> None:
    """Measure, print and write the page."""
    made = parser(__doc__)
    made.add_argument("--manifests", type=Path, required=True, help="folder with train, dev and test manifests")
    made.add_argument("--field", default="speaker")
    made.add_argument("--share", default="100%", help="of the training rows, with which 100 %% of the labels is meant")
    made.add_argument("--upstream", action="append", required=True)
    made.add_argument("--layer", default="2")
    made.add_argument("--clusters", type=int, default=50)
    made.add_argument("--rank", type=int, default=64)
    made.add_argument("--draws", type=int, default=5)
    made.add_argument("--folder", type=Path, default=Path("factors-benchmark"), help="for a manifest")
    asked = made.parse_args()
    rows = {part: read_manifest(asked.manifests / f"{part}.jsonl.gz") for part in PARTS}
    if asked.share != "100%":
        rows["train"] = subset(rows["train"], asked.share)
    lines = [line for name in asked.upstream for line in curve(name, rows, asked.folder, asked)]
    header = ["encoder", "labels", "items", *(f"{kind} (%)" for kind in KINDS), "factors minus mean"]
    publish(asked, f"Factors with fewer labels: {asked.field} of {asked.manifests.name}", table(header, lines))


if __name__ == "__main__":
    main()
