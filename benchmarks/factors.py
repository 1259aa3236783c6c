"""Utterance factors against the mean over time, with fewer and fewer labels.

    python -m benchmarks.factors --manifests data/libri_mini --fit data/libri_mini/verification/train.jsonl.gz \\
        --size 32x64 --layer 2 --upstream tera_mini --write

Units and factors are fitted without labels, on rows of their own or on the training rows. Then a logistic regression
(`audiossl probe`) reads the mean, mean and deviation, or the factors of a layer, from a share of the labels, at least
one of each class. Its C is chosen on dev. Draws of labels are the same for all. Intervals of differences are Student's
over the draws.
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
from numpy.typing import NDArray
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
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.fitting import fit_units
from audiossl.features.units.states import layer_states
from benchmarks.common import parser, publish, table

SHARES = (5, 10, 20, 50, 100)
PARTS = ("train", "dev", "test")


def fitted(name: str, pool: Path, size: str, asked: argparse.Namespace) -> Factors:
    """Factors of a size like 32x64 (clusters, rank), whose units are fitted once for each number of clusters."""
    clusters, rank = map(int, size.split("x"))
    folder = asked.folder / f"{Path(name).name}-{asked.layer}-{clusters}"
    if not folder.exists():
        options = UnitsOptions(layer=asked.layer, clusters=clusters, starts=2, max_epochs=20)
        fit_units(name, [pool], options, cache=CacheConfig()).save(folder)
    options = FactorsOptions(units=str(folder), rank=rank, iterations=asked.iterations)
    return fit_factor_analysis(name, [pool], options, cache=CacheConfig())


def vectors_of(models: Sequence[Factors], rows: Mapping[str, CutSet], field: str) -> dict[str, Functionals]:
    """Vectors of each kind, under its number: mean, mean and deviation, then the factors of each model."""
    first, pooled_by = models[0], [(factors, factors.model()) for factors in models]
    upstream, cache = first.units.load_encoder(), CacheConfig()

    def batches(cuts: CutSet) -> Iterator[tuple[list[Cut], list[Tensor]]]:
        for cut, states in layer_states(upstream, cuts, first.card.layer, cache=cache):
            moments = statistics_of(states[None].cpu(), torch.tensor([len(states)]))
            factors = [made.of_states(model, states.cpu())[None] for made, model in pooled_by]
            yield [cut], [moments[:, : states.shape[1]], moments, *factors]

    return {part: collected(batches(cuts), range(2 + len(models)), field=field) for part, cuts in rows.items()}


def drawn(labels: Sequence[str], share: int, draw: int, least: int = 1) -> NDArray[np.int64]:
    """Places of a share of the rows of each class, and of some at least."""
    rng = np.random.default_rng(draw)
    places = []
    for label in sorted(set(labels)):
        of_class = np.flatnonzero(np.array(labels) == label)
        places.append(rng.choice(of_class, max(least, round(len(of_class) * share / 100)), replace=False))
    return np.concatenate(places)


def with_labels(splits: Mapping[str, Functionals], places: NDArray[np.int64]) -> dict[str, Functionals]:
    """All splits, of whose training rows only those at some places are left."""
    train = splits["train"]
    few = train._replace(
        ids=[train.ids[place] for place in places],
        labels=[train.labels[place] for place in places],
        layers={layer: vectors[places] for layer, vectors in train.layers.items()},
    )
    return {**splits, "train": few}


def accuracies(splits: Mapping[str, Functionals], places: NDArray[np.int64]) -> list[float]:
    """Of each kind on test, in percent, from the labels of some training rows."""
    found = run_probes(with_labels(splits, places), ["linear"], metric="accuracy")
    return [100 * row.test["accuracy"].value for row in found]


def curve(name: str, rows: Mapping[str, CutSet], pool: Path, asked: argparse.Namespace) -> list[list[str]]:
    """The lines of an encoder."""
    models = [fitted(name, pool, size, asked) for size in asked.size]
    splits = vectors_of(models, rows, asked.field)
    lines = []
    for share in SHARES:
        draws = [drawn(splits["train"].labels, share, draw) for draw in range(asked.draws if share < 100 else 1)]
        found = np.array([accuracies(splits, places) for places in draws])  # (draws, kinds)
        gains = [with_interval((found[:, kind] - found[:, 0]).tolist()) for kind in range(2, found.shape[1])]
        means = [f"{value:.1f}" for value in found.mean(axis=0)]
        cells = [f"{mean}, {gain}" for mean, gain in zip(means[2:], gains, strict=True)]
        lines.append([Path(name).name, f"{share} %", str(len(draws[0])), *means[:2], *cells])
        print(lines[-1], flush=True)
    return lines


def parts_of(cuts: CutSet, part_s: float) -> CutSet:
    """Parts of rows, none shorter than half of what is asked."""
    return cuts.cut_into_windows(part_s).filter(lambda cut: cut.duration >= part_s / 2).to_eager()


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
    made.add_argument("--fit", type=Path, help="manifest that factors are fitted on (default: the training rows)")
    made.add_argument("--share", default="100%", help="of the training rows, with which 100 %% of the labels is meant")
    made.add_argument("--part-s", type=float, help="cut the labelled rows into parts of so many seconds")
    made.add_argument("--size", action="append", required=True, help="clusters and rank, as 32x64; may be repeated")
    made.add_argument("--iterations", type=int, default=10)
    made.add_argument("--upstream", action="append", required=True)
    made.add_argument("--layer", default="2")
    made.add_argument("--draws", type=int, default=5)
    made.add_argument("--folder", type=Path, default=Path("factors-benchmark"), help="for units and a manifest")
    asked = made.parse_args()
    rows = {part: read_manifest(asked.manifests / f"{part}.jsonl.gz") for part in PARTS}
    if asked.share != "100%":
        rows["train"] = subset(rows["train"], asked.share)
    if asked.part_s:
        rows = {part: parts_of(cuts, asked.part_s) for part, cuts in rows.items()}
    write_manifests({"pool": rows["train"]}, asked.folder)
    pool = asked.fit or asked.folder / "pool.jsonl.gz"
    lines = [line for name in asked.upstream for line in curve(name, rows, pool, asked)]
    header = ["encoder", "labels", "items", "mean (%)", "mean and deviation (%)", *asked.size]
    publish(asked, f"Factors with fewer labels: {asked.field} of {asked.manifests.name}", table(header, lines))


if __name__ == "__main__":
    main()
