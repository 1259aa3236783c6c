"""Several targets from one vector of a recording, each with a linear head and a loss of its own (Caruana, 1997).

What a row does not say of a target is masked. The loss of a batch is

    sum_t w_t n_t L_t / sum_t w_t n_t

with the weight w_t of target t, its n_t known items and its mean loss L_t over them: the mean over all that is known.
So batches of any size average exactly, and a target that few rows have does not outweigh the others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import AudiosslError, ConfigError, LabelError
from audiossl.core.ranges import Count, ShareBelowOne
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import known_fields, read_field
from audiossl.downstreams.multi_task.classes import ClassHead, OrdinalHead
from audiossl.downstreams.multi_task.fusing import fuse_targets
from audiossl.downstreams.multi_task.head import TargetHead
from audiossl.downstreams.multi_task.numbers import NumberHead
from audiossl.downstreams.multi_task.scoring import TargetScores, figures_table
from audiossl.downstreams.multi_task.target import Target
from audiossl.encoders.upstream import Upstream
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.interface import Interface
from audiossl.training.pooled import PooledDownstream
from audiossl.training.task import Monitor, Prediction

_log = logging.getLogger(__name__)

HEADS: Mapping[str, type[TargetHead[Any]]] = {"class": ClassHead, "ordinal": OrdinalHead, "number": NumberHead}
MEASURE = "mean error of targets"  # what rows count as `num_errors`


@dataclass(frozen=True)
class MultiTaskConfig:
    """What is predicted, and the vector that all targets share."""

    targets: dict[str, Target] = field(default_factory=dict)
    """What is predicted, by name: `{emotion: class, age: {kind: number, weight: 0.5}}`."""
    projector_width: Count | None = 256
    """Width of the linear layer before the pooling. Null for no such layer."""
    pooling: str = "mean"
    """How frames become one vector: 'mean', 'max', 'attention', 'statistics' or 'attentive_statistics'."""
    dropout: ShareBelowOne = 0.0
    """Dropout on the pooled vector."""


class MultiTask(PooledDownstream):
    """Linear(D, 256), pooling over time, and a head for each target.

    A plug-in subclasses it with a `Config` whose `targets` are its own. heads: in the order of the targets.
    """

    Config: ClassVar[Any] = MultiTaskConfig
    monitor = Monitor("mean", "max")

    def __init__(self, upstream: Upstream, interface: Interface, config: Any) -> None:
        super().__init__(upstream, interface)
        self.config = config
        self.targets = self.targets_of(config)
        width = self.build_pooling(config.projector_width, config.pooling, config.dropout)
        self.heads = nn.ModuleList(self.head_of(name, target, width) for name, target in self.targets.items())

    @classmethod
    def targets_of(cls, config: Any) -> Mapping[str, Target]:
        """The targets of a configuration, by name. Raises ConfigError for none, and where none has a weight."""
        targets: Mapping[str, Target] = config.targets
        if not any(target.weight for target in targets.values()):
            raise ConfigError(
                "There is no target with a weight above 0; name columns, such as "
                "task.targets='{emotion: class, age: number}'."
            )
        return targets

    @classmethod
    def with_targets(cls, config: Any, targets: Mapping[str, Target]) -> Any:
        """The configuration with other targets of the same names."""
        return replace(config, targets=dict(targets))

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """Fill in labels, means and scales. Raises LabelError for a column that is empty or holds what it must not."""
        rows = list(cuts)
        targets = cls.targets_of(config)
        return cls.with_targets(config, {name: _completed(name, target, rows) for name, target in targets.items()})

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for a value that no head can take, and an empty column. Warns of rows without a target."""
        rows = list(cuts)
        known = [self._known(cut, where) for cut in rows]
        for head in self._heads:
            if rows and not any(head.name in each for each in known):
                raise _empty(head.name, _column(head.name, head.target), rows, where)
        lacking = [cut.id for cut, found in zip(rows, known, strict=True) if not found]
        if lacking:
            names = ", ".join(self.targets)
            told = (
                f"{len(lacking)} of the {len(rows)} rows of {where} have no target ({names}), the first is {lacking[0]}"
            )
            _log.warning("Warning: %s; they count for nothing.", told)

    def check_split(self, cuts: Iterable[Cut], split: str) -> None:
        """Warns of numbers that are all the same in dev, where their correlations are undefined.

        Raises LabelError where nothing is left to choose checkpoints by.
        """
        if split != "dev" or self.monitor.mode == "min":
            return
        rows = list(cuts)
        flat = {head.name: each for head in self._heads if (each := self._constant(head, rows))}
        told = "; ".join(f"{name} {each}" for name, each in flat.items())
        if flat and len(flat) == len(self.targets):
            raise LabelError(
                f"Nothing in dev tells checkpoints apart by {self.monitor.name}: {told}; draw a dev in which it "
                f"varies, or choose by an error, if the task has one (task.monitor=mae)."
            )
        if flat:
            _log.warning("Warning: %s of dev is without some targets there: %s.", self.monitor.name, told)

    def loss(self, batch: Batch) -> Loss:
        """The mean over all that is known, and over how much of it that is (by weight)."""
        outputs = self.outputs_of(batch)
        total = sum((each.sum() * 0.0 for each in outputs), outputs[0].new_zeros(()))  # a graph where nothing is known
        weight = total.new_zeros(())
        for head, found in zip(self._heads, outputs, strict=True):
            targets, known = self._numbers(batch, head, found.device)
            share = head.target.weight * known.sum()
            total, weight = total + share * head.loss(found, targets, known), weight + share
        return Loss(total / weight.clamp(min=1e-12), weight)

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """`<target>_scores` (B, C) of classes and levels, `<target>_value` (B,) of numbers."""
        found = self._outputs(sequence, lengths)
        pairs = (head.graph_outputs(each) for head, each in zip(self._heads, found, strict=True))
        return {name: tensor for made in pairs for name, tensor in made.items()}

    def output_facts(self) -> dict[str, Any]:
        return {"targets": {head.name: head.facts() for head in self._heads}}

    def predict(self, batch: Batch) -> list[Prediction]:
        """id, target and predicted (by name), scores of labels, speaker and duration_s. What is not known is null.

        `num_errors` is how far the known targets are off, `num_units` how many there are.
        """
        with torch.no_grad():
            found = [each.float().cpu() for each in self.outputs_of(batch)]
        said = [head.predictions(each) for head, each in zip(self._heads, found, strict=True)]
        return [self._row(cut, parts) for cut, *parts in zip(batch.cuts, *said, strict=True)]

    def ensemble(self, predictions: Sequence[Prediction]) -> Prediction:
        """Means of numbers, and the likeliest labels by the mean of their scores."""
        first = predictions[0]
        parts = []
        for head in self._heads:
            values = [row["predicted"][head.name] for row in predictions]
            parts.append(head.united(values, [row["scores"].get(head.name) or [] for row in predictions]))
        return {**first, **self.said(parts, first["target"])}

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        """Each target by itself: weights of scores that make dev likeliest, or what fuses numbers (see `fusing`)."""
        told: Mapping[str, Any] = runs[0].facts.get("targets") or {}
        if not told:
            raise AudiosslError("The runs do not say which targets they have; evaluate them again.")
        # Of a head, labels and figures are needed, which do not depend on the scale of its numbers.
        targets = {
            name: Target(facts["kind"], labels=list(facts.get("labels", ())), scale=1.0) for name, facts in told.items()
        }
        return fuse_targets(runs, weights, [HEADS[target.kind](name, target, 1) for name, target in targets.items()])

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """`<target>.<figure>` for each target, and `mean`: of uar (classes), qwk (levels) and ccc (numbers)."""
        scores = TargetScores(self._heads, predictions)
        return {**scores.by_target(), **scores.mean()}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """The figures of each target."""
        return [figures_table(TargetScores(self._heads, predictions))]

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        return {"targets": {head.name: head.facts() for head in self._heads}}

    def columns(self, prediction: Prediction) -> dict[str, str]:
        return {head.name: head.written(prediction["predicted"][head.name]) for head in self._heads}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.multi_task.figures import draw_targets

        return draw_targets(TargetScores(self._heads, predictions), folder)

    def head_of(self, name: str, target: Target, width: int) -> TargetHead[Any]:
        """The head of a target on vectors of `width`."""
        return HEADS[target.kind](name, target, width)

    def outputs_of(self, batch: Batch) -> list[Tensor]:
        """(B, K) of each head, in float32."""
        return self._outputs(*self.sequence(batch))

    def row_of(self, cut: Cut) -> dict[str, Any]:
        """What a prediction says of a row beside its targets."""
        return {"speaker": read_field(cut, "speaker"), "duration_s": round(float(cut.duration), 4)}

    def said(self, parts: Sequence[tuple[Any, list[float] | None]], target: dict[str, Any] | None) -> dict[str, Any]:
        """What a prediction says by the parts of each target, and what is right."""
        predicted = {head.name: value for head, (value, _) in zip(self._heads, parts, strict=True)}
        scores = {head.name: each for head, (_, each) in zip(self._heads, parts, strict=True) if each is not None}
        made = {"target": target, "predicted": predicted, "scores": scores}
        pairs = [(head, target[head.name]) for head in self._heads if target and target[head.name] is not None]
        errors = [head.error(value, predicted[head.name]) for head, value in pairs]
        counted = {"num_errors": round(sum(errors), 6), "num_units": len(errors)} if errors else {}
        return {**made, **counted, **({"measure": MEASURE} if errors else {})}

    @property
    def _heads(self) -> Sequence[TargetHead[Any]]:
        return list(self.heads)  # type: ignore[arg-type]

    def _outputs(self, sequence: Tensor, lengths: Tensor) -> list[Tensor]:
        """(B, K) of each head, in float32."""
        sequence = sequence.to(next(self.heads.parameters()).dtype)  # an encoder may run in half precision
        pooled = self.pooled(sequence, lengths)
        return [head(pooled).float() for head in self.heads]

    def _column(self, head: TargetHead[Any]) -> str:
        return _column(head.name, head.target)

    def _numbers(self, batch: Batch, head: TargetHead[Any], device: torch.device) -> tuple[Tensor, Tensor]:
        """(B,) what the loss takes, 0 where it is not known, and (B,) whether it is."""
        texts = [read_field(cut, self._column(head)) for cut in batch.cuts]
        numbers = [0.0 if text is None else head.number_of(text) for text in texts]
        return torch.tensor(numbers, device=device), torch.tensor([text is not None for text in texts], device=device)

    def _constant(self, head: TargetHead[Any], rows: Sequence[Cut]) -> str:
        """What to say of numbers that do not vary. '' where they do, or are no numbers."""
        if not isinstance(head, NumberHead):
            return ""
        values = {head.value_of(text) for cut in rows if (text := read_field(cut, self._column(head)))}
        if len(values) > 1:
            return ""
        return f"is {values.pop():g} in all rows that have it" if values else "is in no row"

    def _known(self, cut: Cut, where: str) -> dict[str, float]:
        found = {}
        for head in self._heads:
            text = read_field(cut, self._column(head))
            if text is not None:
                try:
                    found[head.name] = head.number_of(text)
                except LabelError as error:
                    raise _wrong(cut, where, self._column(head), error) from error
        return found

    def _row(self, cut: Cut, parts: Sequence[tuple[Any, list[float] | None]]) -> Prediction:
        targets: dict[str, Any] = {}
        for head in self._heads:
            text = read_field(cut, self._column(head))
            targets[head.name] = None if text is None else head.value_of(text)
        known = targets if any(value is not None for value in targets.values()) else None
        return {"id": cut.id, **self.said(parts, known), **self.row_of(cut)}


def _column(name: str, target: Target) -> str:
    return target.column or name


def _completed(name: str, target: Target, rows: Sequence[Cut]) -> Target:
    """The target with what training rows say. Raises LabelError that names the column, and the row where it can."""
    column, kind = _column(name, target), HEADS[target.kind]
    told = [(cut, text) for cut in rows if (text := read_field(cut, column)) is not None]
    if not told:
        raise _empty(name, column, rows, "training")
    for cut, text in told:
        try:
            kind.check_text(text)
        except LabelError as error:
            raise _wrong(cut, "training", column, error) from error
    try:
        return kind.complete(target, [text for _, text in told])
    except LabelError as error:
        raise LabelError(
            f"The target {name!r} (field {column!r}) {error}; correct it, or leave the target out."
        ) from error


def _empty(name: str, column: str, rows: Sequence[Cut], where: str) -> LabelError:
    return LabelError(
        f"None of the {len(rows)} rows of {where} has anything in the field {column!r} of the target {name!r}; fill it "
        f"in, set its column, or leave the target out (there are: {', '.join(known_fields(rows)) or 'none'})."
    )


def _wrong(cut: Cut, where: str, column: str, error: LabelError) -> LabelError:
    return LabelError(
        f"Item {cut.id!r} of {where} has in the field {column!r} {error}; correct it, empty it, or drop the item."
    )
