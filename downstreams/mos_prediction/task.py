"""Mean opinion scores as UTMOS' strong learner predicts them (Saeki et al., 2022, arXiv:2204.02152).

A row is trained on by its mean score, as what the mean listener of its domain gave, and by every single rating, as what
that listener gave. What is predicted is the mean listener. Scores are mapped from 1..5 to -1..1.

The loss is the clipped squared error of every frame, and half the contrastive loss of all pairs of a batch. The phoneme
encoder of the paper is left out: it needs a recogniser and a set of sentences that several systems said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.errors import ConfigError, LabelError, did_you_mean
from audiossl.core.ranges import Count, Finite, NonNegative, ShareBelowOne
from audiossl.core.types import Batch, Loss
from audiossl.data.fields import read_field
from audiossl.downstreams.mos_prediction.heads import Conditions, FrameScores, UtteranceScore
from audiossl.downstreams.mos_prediction.ratings import domains_of, listeners_of, ratings_of
from audiossl.downstreams.multi_task.head import TargetHead
from audiossl.downstreams.multi_task.numbers import NumberHead
from audiossl.downstreams.multi_task.target import Target
from audiossl.downstreams.utterance_regression.task import UtteranceRegression, UtteranceRegressionConfig
from audiossl.encoders.upstream import Upstream
from audiossl.nn.masking import valid_frames
from audiossl.nn.regression import clipped_squares, contrastive_pairs
from audiossl.training.interface import Interface


@dataclass(frozen=True)
class MosPredictionConfig(UtteranceRegressionConfig):
    """Columns, heads and losses. The defaults are those of UTMOS' strong learner, without its phonemes."""

    label_fields: list[str] = field(default_factory=lambda: ["mos"])
    """The column of the mean score."""
    rating_column: str = "ratings"
    """The column of single ratings, `anna=4|ben=5`. Rows without one have their mean score alone."""
    domain_column: str = "domain"
    """The column of the listening test that a row is from. Rows without one are of one test."""
    lowest: Finite = 1.0
    """The least score that can be given, which is mapped to -1."""
    highest: Finite = 5.0
    """The highest, which is mapped to 1."""
    level: Literal["frame", "utterance"] = "frame"
    """What has a score: 'frame', each after a BLSTM, whose mean is that of the recording, or 'utterance', the pooled
    vector, to which alone projector_width and pooling belong."""
    embedding_width: Count = 128
    """Of the embedding of a domain, and of that of a listener."""
    lstm_width: Count = 512
    """Of the LSTM in each direction."""
    hidden_width: Count = 2048
    """Of the layer before the score."""
    dropout: ShareBelowOne = 0.3
    """Dropout on that layer."""
    tau: NonNegative = 0.25
    """Errors up to this count as none, on the scale from -1 to 1."""
    contrastive_weight: NonNegative = 0.5
    """What the loss of pairs is multiplied by. 0 for none."""
    contrastive_margin: NonNegative = 0.1
    """How far the difference of two predictions may be off, on the scale from -1 to 1."""
    listener: str = ""
    """Whose scores are predicted. Empty for the mean listener."""
    listeners: list[str] = field(default_factory=list)
    """Those of training rows. They are filled in."""
    domains: list[str] = field(default_factory=list)
    """Those of training rows, the most frequent first. They are filled in. '' is that of rows without one."""


class Items(NamedTuple):
    """What a batch is trained on: I pairs of a row and a listener.

    rows: (I,) the place of the row.
    domains, listeners: (I,) numbers.
    targets: (I,) scores on the scale from -1 to 1.
    """

    rows: Tensor
    domains: Tensor
    listeners: Tensor
    targets: Tensor


class ScoreHead(NumberHead):
    """Scores that are made elsewhere, in the unit of the column."""

    def build(self, width: int) -> None:
        """There is no layer."""

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled


class MosPrediction(UtteranceRegression):
    """Conditions beside each frame, BLSTM, Linear, and the mean over time."""

    Config = MosPredictionConfig
    stackable = False

    def __init__(self, upstream: Upstream, interface: Interface, config: MosPredictionConfig) -> None:
        super().__init__(upstream, interface, config)
        if config.listener and config.listener not in config.listeners:
            raise ConfigError(
                f"task.listener={config.listener!r} has rated no training row. "
                f"{did_you_mean(config.listener, config.listeners)} Leave it empty for the mean listener."
            )
        self.domain_index = {name: number for number, name in enumerate(config.domains)}
        self.listener_index = {name: number + len(config.domains) for number, name in enumerate(config.listeners)}
        sizes = (config.lstm_width, config.hidden_width, config.dropout)
        self.conditions = Conditions(len(config.domains), len(config.listeners), config.embedding_width)
        wide = 2 * config.embedding_width
        self.scorer: FrameScores | UtteranceScore
        if config.level == "frame":
            self.scorer = FrameScores(interface.width, wide, *sizes)
        else:
            self.scorer = UtteranceScore(self.pooling.out_width, wide, *sizes[1:])

    def build_pooling(self, projector_width: int | None, pooling: Any, dropout: float, made: Any = None) -> int:
        # Frames are scored before they are pooled, by their mean. Dropout is within the scorer.
        if self.config.level == "frame":
            return super().build_pooling(None, "mean", 0.0)
        return super().build_pooling(projector_width, pooling, 0.0)

    def head_of(self, name: str, target: Target, width: int) -> TargetHead[Any]:
        return ScoreHead(name, target, width)

    @classmethod
    def targets_of(cls, config: Any) -> Mapping[str, Target]:
        if len(config.label_fields) != 1:
            raise ConfigError(f"task.label_fields={config.label_fields} must name the one column of the mean score.")
        if config.lowest >= config.highest:
            raise ConfigError(f"task.lowest={config.lowest:g} must be below task.highest={config.highest:g}.")
        middle, half = (config.highest + config.lowest) / 2, (config.highest - config.lowest) / 2
        return super().targets_of(replace(config, means=[middle], scales=[half]))

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """Fill in listeners and domains. Raises LabelError for ratings and scores that are none."""
        rows = list(cuts)
        filled = super().complete(config, rows)
        return replace(
            filled,
            listeners=config.listeners or listeners_of(rows, config.rating_column),
            domains=config.domains or domains_of(rows, config.domain_column),
        )

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Also raises LabelError for an unknown domain, and for scores outside the scale.

        Listeners of dev and test need not be known: what is predicted is not theirs.
        """
        rows = list(cuts)
        super().check_cuts(rows, where)
        for cut in rows:
            self._domain(cut)
            text = read_field(cut, self.config.label_fields[0])
            scores = [rating.score for rating in ratings_of(cut, self.config.rating_column)]
            for score in [*([] if text is None else [float(text)]), *scores]:
                if not self.config.lowest <= score <= self.config.highest:
                    raise LabelError(
                        f"Item {cut.id!r} of {where} has the score {score:g}, which is outside of "
                        f"{self.config.lowest:g} to {self.config.highest:g}; correct it, or set task.lowest and "
                        f"task.highest."
                    )

    @property
    def commutes_with_mean(self) -> bool:
        return self.config.level == "utterance" and super().commutes_with_mean

    def loss(self, batch: Batch) -> Loss:
        """Clipped squares of frames and half the loss of pairs, over the pairs of a row and a listener."""
        sequence, lengths = self.sequence(batch)
        items = self._items(batch, sequence.device)
        weight = torch.tensor(float(len(items.rows)), device=sequence.device)
        if not len(items.rows):  # no row has a score
            nothing = sum((each.sum() * 0.0 for each in self.conditions.parameters()), sequence.new_zeros(()))
            return Loss(nothing, weight)
        scores, valid = self._scores(sequence, lengths, items)
        squares = clipped_squares(scores - items.targets[:, None], self.config.tau)
        clipped = (torch.where(valid, squares, 0.0).sum(dim=1) / valid.sum(dim=1)).mean()
        logs = {"clipped": clipped.detach()}
        total = clipped
        if self.config.contrastive_weight:
            pairs = contrastive_pairs(_mean(scores, valid), items.targets, self.config.contrastive_margin)
            total, logs["contrastive"] = total + self.config.contrastive_weight * pairs, pairs.detach()
        return Loss(total, weight, logs)

    def outputs_of(self, batch: Batch) -> list[Tensor]:
        sequence, lengths = self.sequence(batch)
        return [self._predicted(sequence, lengths, [self._domain(cut) for cut in batch.cuts])]

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """`<column>_value` (B,), of the most frequent domain."""
        (head,) = self._heads
        return head.graph_outputs(self._predicted(sequence, lengths, [0] * sequence.shape[0]))

    def _predicted(self, sequence: Tensor, lengths: Tensor, domains: list[int]) -> Tensor:
        """(B, 1) of the listener that is asked for."""
        chosen = self.listener_index.get(self.config.listener)
        numbers = [domain if chosen is None else chosen for domain in domains]
        domain, listener = (torch.tensor(each, device=sequence.device) for each in (domains, numbers))
        items = Items(torch.arange(len(domains), device=sequence.device), domain, listener, domain.float())
        return _mean(*self._scores(sequence, lengths, items))[:, None]

    def _scores(self, sequence: Tensor, lengths: Tensor, items: Items) -> tuple[Tensor, Tensor]:
        """(I, T) scores, and which of them are real. Of an utterance there is one."""
        sequence = sequence.to(self.conditions.domains.weight.dtype)
        conditions, lengths = self.conditions(items.domains, items.listeners), lengths.to(sequence.device)
        if isinstance(self.scorer, UtteranceScore):
            scores = self.scorer(self.pooled(sequence, lengths)[items.rows], conditions)[:, None]
            return scores.float(), torch.ones_like(scores, dtype=torch.bool)
        lengths = lengths.clamp(min=1)[items.rows]
        scores = self.scorer(sequence[items.rows], lengths, conditions)
        return scores.float(), valid_frames(lengths, scores.shape[1])

    def _items(self, batch: Batch, device: torch.device) -> Items:
        (head,) = self._heads
        rows, domains, listeners, targets = [], [], [], []
        for place, cut in enumerate(batch.cuts):
            domain, text = self._domain(cut), read_field(cut, head.name)
            given = [] if text is None else [(domain, head.number_of(text))]
            for rating in ratings_of(cut, self.config.rating_column):
                given.append((self._listener(rating.listener, cut), self._scaled(rating.score)))
            for listener, score in given:
                rows.append(place)
                domains.append(domain)
                listeners.append(listener)
                targets.append(score)
        found = (torch.tensor(each, device=device) for each in (rows, domains, listeners, targets))
        return Items(*found)

    def _scaled(self, score: float) -> float:
        target = next(iter(self.targets.values()))
        return (score - target.mean) / target.scale

    def _domain(self, cut: Cut) -> int:
        """The number of a row's domain, of one that has none the most frequent. Raises LabelError."""
        name = read_field(cut, self.config.domain_column)
        if name is None:
            return self.domain_index.get("", 0)
        if name not in self.domain_index:
            raise LabelError(
                f"Item {cut.id!r} is of the domain {name!r}, of which no training row is; leave its field "
                f"{self.config.domain_column!r} empty for the most frequent one, or train with rows of it."
            )
        return self.domain_index[name]

    def _listener(self, name: str, cut: Cut) -> int:
        if name not in self.listener_index:
            raise LabelError(f"Item {cut.id!r} was rated by {name!r}, who has rated no training row; leave that out.")
        return self.listener_index[name]


def _mean(scores: Tensor, valid: Tensor) -> Tensor:
    """(I, T) -> (I,) over the real frames."""
    return torch.where(valid, scores, 0.0).sum(dim=1) / valid.sum(dim=1)
