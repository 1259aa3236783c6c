"""One round of annotation: what `audiossl suggest` chooses against random draws, from the same first labels.

    python benchmarks/suggestions.py data/finches/syllables

The folder has the manifests train, dev and test. A random share of training rows is labelled first, the same for both.
A logistic regression on means and deviations of one layer is trained on it, and one round is added: rows that the
regression is unsure of and that differ (`audiossl.analysis.selection`), the most uncertain ones alone, or rows at
random. Test is looked at after the round. Every seed has its own first labels. Intervals are Student's over seeds, of
the difference between the two ways within a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

from audiossl.analysis.functionals import functionals_of
from audiossl.analysis.selection import select, uncertainty
from audiossl.data.manifests import read_manifest
from audiossl.encoders.kept import load_identified
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from benchmarks.common import parser, publish, table

OPTIONS = {"encoder": "tera_mini", "mode": "time_expand", "sample_rate_hz": 32000}
WAYS = ("suggest", "uncertainty alone", "random")


def recall(model: Any, vectors: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall over the classes of the labels."""
    right = model.predict(vectors) == labels
    return float(np.mean([right[labels == each].mean() for each in np.unique(labels)]))


def fitted(vectors: np.ndarray, labels: np.ndarray) -> Any:
    """A logistic regression as the linear probe has it. One class alone is what it always says."""
    return LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000).fit(vectors, labels)


def one_seed(data: dict[str, Any], first: int, more: int, seed: int) -> dict[str, float]:
    """Recall on test after the first labels and after one round of each way."""
    train, test = data["train"], data["test"]
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(train[0]))
    begun, rest = order[:first], order[first:]
    start = fitted(train[0][begun], train[1][begun])
    unsure = uncertainty(start.predict_proba(train[0][rest]))
    ways: dict[str, Callable[[], np.ndarray]] = {
        "suggest": lambda: select(unsure, train[0][rest], more, pool=5, known=train[0][begun]),
        "uncertainty alone": lambda: select(unsure, train[0][rest], more, pool=1),
        "random": lambda: np.arange(more),
    }
    made = {"start": recall(start, *test)}
    for name in WAYS:
        chosen = np.concatenate([begun, rest[ways[name]()]])
        made[name] = recall(fitted(train[0][chosen], train[1][chosen]), *test)
    for times in (2, 3, 4):
        chosen = order[: first + times * more]
        made[f"random x{times}"] = recall(fitted(train[0][chosen], train[1][chosen]), *test)
    return made


def interval(values: np.ndarray) -> str:
    """Mean in points with Student's 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{100 * values.mean():.1f} [{100 * (values.mean() - half):.1f}, {100 * (values.mean() + half):.1f}]"


def vectors_of(folder: Path, layer: int) -> dict[str, Any]:
    """(vectors, labels) of train and test, by the training rows' mean and deviation."""
    encoder = load_identified("bandwidth", OPTIONS)
    source = open_source(encoder.upstream, encoder.fingerprint, CacheConfig(), "statistics", layers=[layer])
    rows = {
        name: functionals_of(source, read_manifest(folder / f"{name}.jsonl.gz"), [layer]) for name in ("train", "test")
    }
    source.store.close()
    mean, std = rows["train"].layers[layer].mean(axis=0), rows["train"].layers[layer].std(axis=0)
    return {
        name: ((found.layers[layer] - mean) / np.where(std > 1e-8, std, 1), np.array(found.labels))
        for name, found in rows.items()
    }


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--layer", type=int, default=3)
    asked.add_argument("--seeds", type=int, default=40)
    arguments = asked.parse_args()
    data = vectors_of(arguments.folder, arguments.layer)
    shown = ["start", *WAYS, "random x2", "random x3", "random x4"]
    header = ["labels first", "added", *shown, "suggest - random", "suggest - random x2", "suggest - uncertainty alone"]
    rows = []
    for first, more in ((15, 15), (30, 30), (60, 60)):
        found = [one_seed(data, first, more, seed) for seed in range(arguments.seeds)]
        by = {name: np.array([each[name] for each in found]) for name in found[0]}
        cells = [str(first), str(more), *(f"{100 * by[name].mean():.1f}" for name in shown)]
        others = ("random", "random x2", "uncertainty alone")
        rows.append([*cells, *(interval(by["suggest"] - by[name]) for name in others)])
    publish(arguments, "One round of annotation", table(header, rows))


if __name__ == "__main__":
    main()
