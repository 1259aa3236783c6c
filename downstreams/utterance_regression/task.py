"""Numbers for a whole recording: the heads and poolings of utterance classification, and the metrics of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lhotse.cut import Cut

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, Finite, NonNegative, Positive, ShareBelowOne
from audiossl.core.types import Metric
from audiossl.data.fields import read_field
from audiossl.downstreams.multi_task.scoring import TargetScores
from audiossl.downstreams.multi_task.target import Target
from audiossl.downstreams.multi_task.task import MultiTask
from audiossl.downstreams.utterance_regression.fusing import fuse_numbers
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.regression import CORRELATIONS, system_metrics
from audiossl.nn.regression import NumberLoss
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction

Chosen = Literal[
    "ccc",
    "pearson",
    "spearman",
    "rmse",
    "mae",
    "system_ccc",
    "system_pearson",
    "system_spearman",
    "system_rmse",
    "system_mae",
]


@dataclass(frozen=True)
class UtteranceRegressionConfig:
    """The columns, the head and the loss."""

    label_fields: list[str] = field(default_factory=lambda: ["label"])
    """The columns of numbers, which one vector predicts: `[valence, arousal, dominance]`."""
    projector_width: Count | None = 256
    """Width of the linear layer before the pooling. Null for no such layer."""
    pooling: str = "mean"
    """How frames become one vector: 'mean', 'max', 'attention', 'statistics' or 'attentive_statistics'."""
    dropout: ShareBelowOne = 0.0
    """Dropout on the pooled vector."""
    loss: NumberLoss = "mse"
    """'mse', 'l1', 'huber', or 'ccc', 1 - CCC of a batch, which wants large ones. In standard deviations of training
    rows."""
    huber_delta: Positive = 1.0
    """Where Huber's loss becomes linear, in standard deviations of training rows."""
    least: Finite | None = None
    """Lower predictions are raised to this. Null for no bound."""
    most: Finite | None = None
    """Higher predictions are lowered to this. Null for no bound."""
    monitor: Chosen = "ccc"
    """Metric on dev by which checkpoints are chosen. Of several columns it is the mean. `system_` needs a column
    `system`."""
    means: list[Finite] = field(default_factory=list)
    """Of the columns in training rows. They are filled in."""
    scales: list[NonNegative] = field(default_factory=list)
    """Standard deviations of the columns in training rows. They are filled in."""


class UtteranceRegression(MultiTask):
    """Linear(D, 256), masked mean over time, and Linear(256, 1) for each column, standardised by training rows."""

    Config = UtteranceRegressionConfig
    monitor = Monitor("ccc", "max")

    def __init__(self, upstream: Upstream, interface: Interface, config: UtteranceRegressionConfig) -> None:
        super().__init__(upstream, interface, config)
        wanted = config.monitor
        is_correlation = wanted.removeprefix("system_") in CORRELATIONS
        if len(config.label_fields) > 1 and not is_correlation:
            raise ConfigError(
                f"task.monitor={wanted} is in the unit of a column, and there are {len(config.label_fields)} columns; "
                f"choose ccc, pearson or spearman."
            )
        self.monitor = Monitor(wanted, "max" if is_correlation else "min")

    @classmethod
    def targets_of(cls, config: Any) -> Mapping[str, Target]:
        names = config.label_fields
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"task.label_fields={names} must name at least one column, and each of them once.")
        means, scales = (each or [0.0] * len(names) for each in (config.means, config.scales))
        if not len(names) == len(means) == len(scales):
            raise ConfigError("task.means and task.scales have one number for each of task.label_fields.")
        common: dict[str, Any] = {
            key: getattr(config, key) for key in ("loss", "huber_delta", "least", "most") if hasattr(config, key)
        }
        return {
            name: Target("number", mean=mean, scale=scale, **common)
            for name, mean, scale in zip(names, means, scales, strict=True)
        }

    @classmethod
    def with_targets(cls, config: Any, targets: Mapping[str, Target]) -> Any:
        made = targets.values()
        return replace(config, means=[each.mean for each in made], scales=[each.scale for each in made])

    def row_of(self, cut: Cut) -> dict[str, Any]:
        system = read_field(cut, "system")
        return {**super().row_of(cut), **({} if system is None else {"system": system})}

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """ccc, pearson, spearman, rmse and mae, also of the means of systems where rows have a `system`.

        Of one column they have these names. Of several `<column>.<metric>`, and `ccc`, `pearson` and their likes are
        means over the columns. Those in the unit of a column have none.
        """
        scores = TargetScores(self._heads, predictions)
        found = {**scores.by_target(), **_of_systems(scores)}
        if len(self.targets) == 1:
            prefix = f"{next(iter(self.targets))}."
            return {name.removeprefix(prefix): metric for name, metric in found.items()}
        return {**_means(scores, found), **found}

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        """The mean of the runs, or weights of them that were better on held-out rows of dev (see `fusing`)."""
        return fuse_numbers(runs, weights)


def _means(scores: TargetScores, found: Mapping[str, Metric]) -> dict[str, Metric]:
    """Correlations averaged over columns. Those of ranks and of systems have no interval."""
    made = {**scores.mean("ccc", "ccc"), **scores.mean("pearson", "pearson")}
    for name in ("spearman", *(f"system_{each}" for each in CORRELATIONS)):
        values = [found[key].value for each in scores.known if (key := f"{each.head.name}.{name}") in found]
        if values:
            made[name] = Metric(sum(values) / len(values), remark="the mean over columns has no interval")
    return made


def _of_systems(scores: TargetScores) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for each in scores.known:
        systems = [row.get("system") for row in each.rows]
        if all(systems):
            metrics = system_metrics(each.targets, each.predicted, list(map(str, systems)))
            found |= {f"{each.head.name}.{name}": metric for name, metric in metrics.items()}
    return found
