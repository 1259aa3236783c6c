"""Probes: simple classifiers on one layer after the other.

A probe reads the mean and the standard deviation over time of a layer, standardised by the training items alone. Its
one setting (C, k, alpha) is chosen on dev, and so is the layer that stands for an encoder. Test is looked at once. The
classifiers are scikit-learn's: multinomial logistic regression, k nearest neighbours, a support vector machine with a
Gaussian kernel, a multilayer perceptron of 128, 64 and 32 as in the marmoset papers (arXiv:2407.16417), and as in the
earlier one (arXiv:2305.14035) a random forest and AdaBoost. A prototype is the mean of a class.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.analysis.functionals import Functionals, Vectors
from audiossl.core.errors import ConfigError, LabelError, did_you_mean
from audiossl.core.terminal import progress
from audiossl.core.types import Metric
from audiossl.metrics.classification import classification_metrics, classified_clusters
from audiossl.metrics.clusters import Floats
from audiossl.metrics.detection import detection_metrics


class ProbeGrid(NamedTuple):
    """A probe.

    setting: the name of its one setting.
    values: to choose from. Of equals on dev the first wins, so the simplest comes first.
    make: the classifier of a value and a seed.
    """

    setting: str
    values: tuple[float, ...]
    make: Callable[[Any, int], Any]


class Scaling(NamedTuple):
    """What brings vectors to zero mean and unit variance over training.

    mean, scale: (V,). The scale of a constant column is 1, so that it stays at zero.
    """

    mean: Vectors
    scale: Vectors

    @classmethod
    def of(cls, train: Vectors, *, even: bool = False) -> Scaling:
        """Of the vectors (N, V) of training items. `even`: one scale for all columns, by their variance in all."""
        std = train.std(axis=0)
        if even:
            std = np.full_like(std, np.sqrt(np.square(std).mean()))
        return cls(train.mean(axis=0), np.where(std > 1e-8, std, 1.0))

    def scaled(self, vectors: Vectors) -> Vectors:
        """(N, V) -> (N, V)."""
        return ((vectors - self.mean) / self.scale).astype(np.float32)


class LinearProbe(NamedTuple):
    """A fitted logistic regression: its probabilities are softmax(weight scaled(vector) + bias).

    labels: the C classes.
    scaling: of the vectors.
    weight, bias: (C, V) and (C,).
    """

    labels: tuple[str, ...]
    scaling: Scaling
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @classmethod
    def of(cls, model: Any, scaling: Scaling) -> LinearProbe:
        """Of scikit-learn's model. For two classes that has one logit, whose halves are the two here."""
        weight, bias = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
        if len(weight) == 1:
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return cls(tuple(map(str, model.classes_)), scaling, weight, bias)


class ProbeResult(NamedTuple):
    """One probe on one layer.

    setting, value: the name of the probe's setting, and the value that dev chose.
    dev, test: metrics by name.
    linear: what was fitted. None for the other probes.
    classes: of each class against the rest on test, where that was asked for.
    """

    probe: str
    layer: int
    setting: str
    value: float
    dev: dict[str, Metric]
    test: dict[str, Metric]
    linear: LinearProbe | None = None
    classes: dict[str, dict[str, Metric]] = {}  # noqa: RUF012  never changed


def _linear(value: float, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=value, class_weight="balanced", max_iter=2000, random_state=seed)


def _knn(value: float, seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(int(value))


def _svm(value: float, seed: int) -> Any:
    from sklearn.svm import SVC

    return SVC(C=value, class_weight="balanced", random_state=seed)


def _mlp(value: float, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((128, 64, 32), alpha=value, max_iter=200, random_state=seed)


def _prototype(value: float, seed: int) -> Any:
    from sklearn.neighbors import NearestCentroid

    return NearestCentroid(shrink_threshold=value or None)


def _forest(value: float, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(int(value), class_weight="balanced", random_state=seed)


def _adaboost(value: float, seed: int) -> Any:
    from sklearn.ensemble import AdaBoostClassifier

    return AdaBoostClassifier(n_estimators=int(value), random_state=seed)


DETECTED = ("auroc", "eer")
PROBES: dict[str, ProbeGrid] = {
    "linear": ProbeGrid("C", (1e-3, 1e-2, 1e-1, 1.0, 10.0), _linear),
    "knn": ProbeGrid("k", (25, 15, 9, 5, 3, 1), _knn),
    "svm": ProbeGrid("C", (1e-1, 1.0, 10.0, 100.0), _svm),
    "mlp": ProbeGrid("alpha", (1.0, 1e-2, 1e-4), _mlp),
    "prototype": ProbeGrid("shrink", (0.0,), _prototype),
    "forest": ProbeGrid("trees", (50, 200), _forest),
    "adaboost": ProbeGrid("stumps", (50, 200), _adaboost),
}


def check_asked(probes: Sequence[str], metric: str) -> None:
    """Raise ConfigError for an unknown name of a probe or of a metric."""
    unknown = [name for name in probes if name not in PROBES]
    if unknown or not probes:
        name = unknown[0] if unknown else ""
        raise ConfigError(f"There is no probe named {name!r}. {did_you_mean(name, PROBES)}")
    if metric not in ("uar", "accuracy", "f1"):
        raise ConfigError(f"metric={metric!r}: choose uar, accuracy or f1.")


def run_probes(
    splits: Mapping[str, Functionals],
    probes: Sequence[str],
    *,
    metric: str = "uar",
    seed: int = 0,
    even: bool = False,
    detection: bool = False,
) -> list[ProbeResult]:
    """Every probe on every layer.

    splits: vectors of train, dev and test.
    probes: names of `PROBES`.
    metric: uar, accuracy or f1, by which dev chooses.
    seed: of the classifiers that draw anything.
    even: keep the proportions of columns, as of principal components, instead of standardising each.
    detection: whether test has `auroc` and `eer` too, of each class against the rest by the scores of the probe.
    Returns the results in the order of the probes, then of the layers.
    Raises ConfigError for an unknown name, LabelError for a class that training lacks or for fewer than two classes.
    """
    check_asked(probes, metric)
    check_labels(splits)
    work = [(layer, name) for layer in splits["train"].layers for name in probes]
    found = [
        _probe(name, layer, splits, _Asked(metric, seed, even, detection))
        for layer, name in progress(work, "Probing", total=len(work))
    ]
    return sorted(found, key=lambda row: (list(probes).index(row.probe), row.layer))


def best_layers(found: Sequence[ProbeResult], metric: str = "uar") -> dict[str, ProbeResult]:
    """For each probe the layer that is best on dev, the lower of equals."""
    best: dict[str, ProbeResult] = {}
    for row in sorted(found, key=lambda row: row.layer):
        if row.probe not in best or row.dev[metric].value > best[row.probe].dev[metric].value:
            best[row.probe] = row
    return {row.probe: best[row.probe] for row in found}


def check_labels(splits: Mapping[str, Functionals]) -> None:
    """Raise LabelError for what no probe can learn."""
    known = set(splits["train"].labels)
    if len(known) < 2:
        raise LabelError(f"Probes need at least two labels in training, not {sorted(known)}; name another field.")
    for split, rows in splits.items():
        if unseen := sorted(set(rows.labels) - known):
            item = rows.ids[rows.labels.index(unseen[0])]
            raise LabelError(
                f"{len(unseen)} label(s) of {split} were not seen in training, for instance {unseen[0]!r} (item "
                f"{item!r}); add training items with them, or drop those items."
            )


class _Asked(NamedTuple):
    metric: str
    seed: int
    even: bool
    detection: bool


def _probe(name: str, layer: int, splits: Mapping[str, Functionals], asked: _Asked) -> ProbeResult:
    grid, train = PROBES[name], splits["train"]
    scaling = Scaling.of(train.layers[layer], even=asked.even)
    vectors = {split: scaling.scaled(rows.layers[layer]) for split, rows in splits.items()}
    best: tuple[float, float, Any, dict[str, Metric]] | None = None
    for value in grid.values:
        if name == "knn" and value > len(train.labels):
            continue
        model = grid.make(value, asked.seed)
        with warnings.catch_warnings():
            # 200 epochs are the MLP's setting, not a failure to converge.
            warnings.simplefilter("ignore")
            model.fit(vectors["train"], train.labels)
        on_dev = _metrics(model, vectors["dev"], splits["dev"])
        if best is None or on_dev[asked.metric].value > best[0]:
            best = (on_dev[asked.metric].value, value, model, on_dev)
    assert best is not None
    _, value, model, on_dev = best
    on_test = _metrics(model, vectors["test"], splits["test"])
    linear = LinearProbe.of(model, scaling) if name == "linear" else None
    made = ProbeResult(name, layer, grid.setting, value, on_dev, on_test, linear)
    return _with_detection(made, model, vectors["test"], splits["test"]) if asked.detection else made


def _with_detection(made: ProbeResult, model: Any, vectors: Vectors, rows: Functionals) -> ProbeResult:
    clusters = classified_clusters(rows.labels, rows.clusters)
    labels = [str(label) for label in model.classes_]
    macro, classes = detection_metrics(rows.labels, class_scores(model, vectors), labels, clusters)
    return made._replace(test={**made.test, **macro}, classes=classes)


def class_scores(model: Any, vectors: Vectors) -> Floats:
    """(N, C) scores of the classes of a classifier of scikit-learn: probabilities, or what it decides by."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(vectors), dtype=np.float64)
    scores = np.asarray(model.decision_function(vectors), dtype=np.float64)
    return scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1)


def _metrics(model: Any, vectors: Vectors, rows: Functionals) -> dict[str, Metric]:
    return classification_metrics(rows.labels, [str(label) for label in model.predict(vectors)], rows.clusters)
