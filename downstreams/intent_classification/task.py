"""Intents of several slots (Lugosch et al., 2019, arXiv:1904.03670), with the head of SUPERB's IC (arXiv:2105.01051).

Each slot is a column of the manifest with a linear head of its own on one vector of the recording. The loss of an item
is the sum of the cross entropies of its slots. An item is right where all its slots are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lhotse.cut import Cut

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import Count, ShareBelowOne
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import known_fields, read_field
from audiossl.downstreams.intent_classification.tables import confused_table
from audiossl.downstreams.multi_task.scoring import TargetScores, figures_table
from audiossl.downstreams.multi_task.target import Target
from audiossl.downstreams.multi_task.task import MultiTask
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.ratios import paired_difference, score_mean
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.task import Monitor, Prediction

MEASURE = "intent errors"  # what rows count as `num_errors`


@dataclass(frozen=True)
class IntentClassificationConfig:
    """The slots, and the vector that their heads share."""

    slots: list[str] = field(default_factory=lambda: ["action", "object", "location"])
    """The columns of the manifest that make an intent. Those of Fluent Speech Commands by default."""
    projector_width: Count | None = 256
    """Width of the linear layer before the pooling. Null for no such layer."""
    pooling: str = "mean"
    """How frames become one vector: 'mean', 'max', 'attention', 'statistics' or 'attentive_statistics'."""
    dropout: ShareBelowOne = 0.0
    """Dropout on the pooled vector."""
    labels: dict[str, list[str]] = field(default_factory=dict)
    """The values of each slot. Empty for those of training rows, sorted, which are filled in."""


class IntentClassification(MultiTask):
    """Linear(D, 256), pooling over time, and Linear(256, values) for each slot."""

    Config = IntentClassificationConfig
    monitor = Monitor("accuracy", "max")

    @classmethod
    def targets_of(cls, config: Any) -> Mapping[str, Target]:
        names = config.slots
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"task.slots={names} must name at least one column, and each of them once.")
        if strange := sorted(set(config.labels) - set(names)):
            raise ConfigError(f"task.labels has {strange[0]!r}, which is none of task.slots ({', '.join(names)}).")
        return {name: Target("class", labels=list(config.labels.get(name, []))) for name in names}

    @classmethod
    def with_targets(cls, config: Any, targets: Mapping[str, Target]) -> Any:
        return replace(config, labels={name: list(target.labels) for name, target in targets.items()})

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """Fill in the values of each slot. Raises LabelError for a row without one of its slots."""
        rows = list(cuts)
        _check_slots(list(cls.targets_of(config)), rows, "training")
        return super().complete(config, rows)

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for a row without one of its slots, and for a value that training has not."""
        rows = list(cuts)
        _check_slots(list(self.targets), rows, where)
        super().check_cuts(rows, where)

    def loss(self, batch: Batch) -> Loss:
        """The sum of the cross entropies of the slots, a mean over the items."""
        mean = super().loss(batch)  # over items and slots, all of which are known
        num_slots = len(self.targets)
        return Loss(mean.total * num_slots, mean.weight / num_slots)

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """accuracy: of all slots together. `<slot>.accuracy`, `<slot>.uar` and `<slot>.f1` of each."""
        scores = TargetScores(self._heads, predictions)
        right = [_is_right(row) for row in scores.rows]
        return {"accuracy": score_mean(right, clusters_of_rows(scores.rows)), **scores.by_target()}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """The figures of each slot, and the intents that were taken for others."""
        scores = TargetScores(self._heads, predictions)
        return [figures_table(scores), *confused_table(scores.rows, list(self.targets))]

    def said(self, parts: Sequence[tuple[Any, list[float] | None]], target: dict[str, Any] | None) -> dict[str, Any]:
        """A prediction counts by whether all of it is right. Half an intent is no target."""
        target = None if target is None or None in target.values() else target
        return _counted(super().said(parts, target))

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        """Each slot by itself, as several targets are. What counts is the accuracy of all slots together."""
        made = super().fuse(runs, weights)
        rows = [_counted(row) for row in made.predictions]
        known = [place for place, row in enumerate(rows) if row["target"] is not None]
        clusters = clusters_of_rows([rows[place] for place in known])
        whole, *alone = ([_is_right(each[place]) for place in known] for each in (rows, *(run.test for run in runs)))
        of_slots = {name: metric for name, metric in made.metrics.items() if name != made.compared}
        gaps = [paired_difference(whole, right, clusters) for right in alone]
        return Fused(rows, {"accuracy": score_mean(whole, clusters), **of_slots}, "accuracy", gaps, made.facts)


def _is_right(row: Prediction) -> bool:
    return bool(row["target"] == row["predicted"])


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    """A prediction with what it counts for where runs are compared."""
    if row["target"] is None:
        return row
    return {**row, "num_errors": int(not _is_right(row)), "num_units": 1, "measure": MEASURE}


def _check_slots(slots: Sequence[str], rows: Sequence[Cut], where: str) -> None:
    """Raises LabelError for a column that is nowhere, and for a row that leaves one empty."""
    for slot in slots:
        empty = [cut for cut in rows if read_field(cut, slot) is None]
        if rows and len(empty) == len(rows):
            raise LabelError(
                f"None of the {len(rows)} rows of {where} has anything in the field {slot!r}, which is a slot; name "
                f"the columns in task.slots (there are: {', '.join(known_fields(rows)) or 'none'})."
            )
        if empty:
            raise LabelError(
                f"Item {empty[0].id!r} of {where} has nothing in the field {slot!r}, and {len(empty) - 1} more have "
                f"not; write what it is, 'none' where the utterance has no such slot, or drop them."
            )
