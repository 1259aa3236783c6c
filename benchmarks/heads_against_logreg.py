"""Heads as they come, against logistic regression on the same features: may one trust a default?

    python -m benchmarks.heads_against_logreg --encoder log_mel --encoder hf:FOLDER --write

A recipe is trained and tested as it stands. Logistic regression (scikit-learn) gets the means of hidden states over
time, all layers side by side or the last one alone. They are standardised by the training rows, and C is chosen on dev.
The rows and the folds are the same.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lhotse.cut import Cut

from audiossl import load_run, load_upstream, read_experiment, train
from audiossl.core.tensors import fingerprint
from audiossl.core.types import Metric
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.cross_validation.run import fold_names
from audiossl.experiments.folder import RunFolder
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.metrics.classification import accuracy, confusion_matrix, unweighted_average_recall
from benchmarks.common import parser, publish, table

RECIPES = Path(__file__).parents[1] / "recipes"
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
PARTS = ("train", "dev", "test")


class Problem(NamedTuple):
    """A task of a recipe. corpus: its folder below AUDIOSSL_DATA. metric: what is compared, a key of both sides."""

    recipe: str
    corpus: str
    metric: str

    @property
    def yaml(self) -> Path:
        return RECIPES / f"{self.recipe}.yaml"

    @property
    def folder(self) -> Path:
        return self.yaml.parent


PROBLEMS = (
    Problem("fsdd/few_shot", "fsdd", "accuracy"),
    Problem("wakewords/keyword_spotting", "wakewords", "accuracy"),
    Problem("esc10/sounds", "esc10_16k", "accuracy"),
    Problem("nemo/emotion", "nemo_mini", "ua"),
    Problem("finches/callers", "finches", "uar"),
)


class Cell(NamedTuple):
    """A head and its rivals on one task and encoder, in shares. head: with its interval. seconds: of the head."""

    problem: Problem
    encoder: str
    head: Metric
    every_layer: float
    last_layer: float
    seconds: float

    @property
    def difference(self) -> float:
        """By how much the head is ahead of logistic regression on all layers."""
        return self.head.value - self.every_layer

    @property
    def reached(self) -> bool:
        """Whether logistic regression lies within the interval of the head, or below."""
        return self.head.high is None or self.every_layer <= self.head.high

    def row(self) -> list[str]:
        head = self.head
        interval = f"{100 * head.value:.1f} [{100 * (head.low or 0):.1f}, {100 * (head.high or 0):.1f}]"
        rivals = f"{100 * self.every_layer:.1f}", f"{100 * self.last_layer:.1f}"
        names = f"{self.problem.recipe}, {self.problem.metric}", f"`{self.encoder}`"
        return [*names, interval, *rivals, f"{100 * self.difference:+.1f}", f"{self.seconds:.0f}"]


def compare(problem: Problem, encoder: str, data: Path, work: Path, cache: str = "") -> Cell:
    """Train and test the recipe's head on one encoder, and logistic regression beside it.

    problem: the task.
    encoder: as `upstream` of an experiment.
    data: the folder of corpora.
    work: where manifests and runs go.
    cache: folder of the feature cache. Empty for the usual one.
    """
    settings = read_experiment(problem.yaml, [])
    manifests = work / settings.data.dir
    if not manifests.is_dir():
        root = work / "data" / problem.folder.name
        command = [sys.executable, str(problem.folder / "prepare.py"), str(data / problem.corpus), str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    name = Path(encoder).name
    out = work / "runs" / problem.folder.name / name
    begin = time.perf_counter()
    overrides = [f"upstream={encoder}", f"data.dir={manifests}", *([f"cache.dir={cache}"] if cache else [])]
    train(read_experiment(problem.yaml, overrides), out, overwrite=True)
    head = load_run(out).evaluate("test")[problem.metric]
    seconds = time.perf_counter() - begin
    upstream = load_upstream(encoder)
    folds = list(_folds(out))
    means = _means(upstream, (cut for fold in folds for cuts in fold for cut in cuts), CacheConfig(dir=cache))
    every, last = (_regression(folds, means, problem.metric, layers) for layers in (slice(None), slice(-1, None)))
    return Cell(problem, name, head, every, last, seconds)


def _folds(run: Path) -> Iterator[tuple[list[Cut], ...]]:
    """The rows of train, dev and test, of a run or of each of its folds."""
    folder, config = RunFolder(run), RunFolder(run).config()
    if not config.folds.by:
        yield tuple(list(read_manifest(config.data.path(part))) for part in PARTS)
        return
    for name in fold_names(run):
        yield tuple(list(read_manifest(folder.fold_manifests(name) / f"{part}.jsonl.gz")) for part in PARTS)


def _means(upstream: Upstream, cuts: Iterable[Cut], cache: CacheConfig) -> dict[str, Any]:
    """(L, D) of each row by its id."""
    source = open_source(upstream, fingerprint(upstream), cache, "pooled", layers=range(upstream.num_layers))
    unique = {str(cut.id): cut for cut in cuts}
    try:
        batches = {name: source.batch([cut]).features for name, cut in unique.items()}
        return {
            name: np.stack([np.asarray(x) for x in found.item(0)])[:, 0] for name, found in batches.items() if found
        }
    finally:
        source.store.close()


def _regression(folds: Sequence[tuple[list[Cut], ...]], means: dict[str, Any], metric: str, layers: slice) -> float:
    """The figure on the test rows of all folds together."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def table_of(cuts: Sequence[Cut]) -> tuple[Any, list[str]]:
        states = np.stack([means[str(cut.id)][layers].reshape(-1) for cut in cuts])
        return states, [str(read_field(cut, "label")) for cut in cuts]

    def figure(targets: Sequence[str], predicted: Sequence[str]) -> float:
        counts = confusion_matrix(targets, predicted, sorted({*targets, *predicted}))
        return accuracy(counts) if metric == "accuracy" else unweighted_average_recall(counts)

    targets: list[str] = []
    predicted: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for fold in folds:
            (x, y), (dev_x, dev_y), (test_x, test_y) = map(table_of, fold)
            models = [make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000)) for c in STRENGTHS]
            best = max((model.fit(x, y) for model in models), key=lambda one: figure(dev_y, list(one.predict(dev_x))))
            targets += test_y
            predicted += list(best.predict(test_x))
    return figure(targets, predicted)


def summary(cells: Sequence[Cell]) -> str:
    """What the table says, in two sentences."""
    mean = 100 * float(np.mean([cell.difference for cell in cells]))
    missed = [f"{cell.problem.recipe} with {cell.encoder}" for cell in cells if not cell.reached]
    where = f"all but {', '.join(missed)}" if missed else "every row"
    return (
        f"Mean difference to logistic regression on all layers: {mean:+.1f} points. It is within the head's interval, "
        f"or below, in {where}."
    )


def main() -> None:
    arguments_of = parser(__doc__)
    arguments_of.add_argument("--encoder", action="append", help="may be repeated (default: log_mel, tera_mini)")
    arguments_of.add_argument("--work", type=Path, help="folder of manifests and runs (default: a temporary one)")
    arguments = arguments_of.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        cells: list[Cell] = []
        for problem in PROBLEMS:
            for encoder in arguments.encoder or ["log_mel", "tera_mini"]:
                cells.append(compare(problem, encoder, arguments.data, work))
                print(table(["", *[""] * 6], [cells[-1].row()]).splitlines()[-1], flush=True)
    header = ["task, metric", "encoder", "head, 95 % interval", "LR, all layers", "LR, last", "difference", "seconds"]
    publish(
        arguments,
        "Heads as they come, against logistic regression",
        "Recipes as they stand, seed 0, in %. LR: logistic regression on standardised means over time, C of 1e-4 to 10 "
        "by dev, the same rows and folds. Difference: to LR on all layers. Seconds: training and test of the head, "
        "where hidden states are already in the cache if a run before kept them.",
        table(header, [cell.row() for cell in cells]),
        summary(cells),
    )


if __name__ == "__main__":
    main()
