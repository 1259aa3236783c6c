"""Masked prediction of units (HuBERT, arXiv:2106.07447, section II).

Spans of the front end's features are masked before the Transformer. From its output o_t, the unit z_t of a frame is
predicted by

    p(c | t) = exp(cos(A o_t, e_c) / tau) / sum over c' of exp(cos(A o_t, e_c') / tau),

with a projection A and learnt codewords e_c. The loss is the cross-entropy of masked frames, and of unmasked ones by a
weight. With several sets of units it is their sum. Each set has a projection and codewords of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, check_ranges
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.gradients import scale_gradient
from audiossl.nn.masked_frames import MaskedFrames, locate, mean_square
from audiossl.nn.masking import valid_frames
from audiossl.objectives.hubert.labels import ComputedLabels, LabelSet, Targets, label_set
from audiossl.training.masked import MaskedObjective, MaskingConfig
from audiossl.training.objective import Guard, Surroundings

_SYMBOLS = 4  # of fairseq's dictionaries


@dataclass(frozen=True)
class UnitPredictionConfig(MaskingConfig):
    """The published settings of the base model. Those of the large one are in the README."""

    labels: list[str] = field(default_factory=list)
    """Sets of labels: each a file of units, a folder of such files, or a folder of fitted units, which then label each
    crop by its own sound. Empty for clusters of cepstra, which are fitted before the first step."""
    clusters: Annotated[int, Range(2)] = 100
    """Number of clusters of cepstra, where no labels are given."""
    mask_prob: NonNegative = 0.8
    """Share of the frames that spans would cover if none overlapped: 0.8 with spans of 10 masks 56 % of them."""
    min_spans: CountOrZero = 2
    """Least number of spans of an item that is long enough."""
    projection_width: Count = 256
    """Channels of the space in which predictions and codewords are compared."""
    logit_temperature: Positive = 0.1
    """What the cosines are divided by before the softmax."""
    masked_weight: NonNegative = 1.0
    """Weight of the loss on masked frames."""
    unmasked_weight: NonNegative = 0.0
    """Weight of the loss on the other frames."""
    feature_penalty: NonNegative = 10.0
    """Weight of the mean square of the front end's output."""
    front_end_gradient: NonNegative = 0.1
    """What the gradient of the front end is multiplied by."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.masked_weight and not self.unmasked_weight:
            raise ConfigError("masked_weight and unmasked_weight are both 0, so that nothing is left to learn.")


class _Scores(NamedTuple):
    """Sums over frames and sets, and figures of the predictions, means over sets.

    loss: () sum.
    accuracy: () share of frames whose unit is the most probable.
    majority: () share of the most frequent unit.
    entropy: () of the units, in nats.
    perplexity: () of the mean prediction.
    usage: () share of the units that occur.
    """

    loss: Tensor
    accuracy: Tensor
    majority: Tensor
    entropy: Tensor
    perplexity: Tensor
    usage: Tensor


class HubertObjective(MaskedObjective):
    """Projections and codewords, one for each set of labels."""

    Config = UnitPredictionConfig
    guards = (
        Guard(
            "perplexity",
            least=1.5,
            first_step=5000,
            advice="lower trainer.lr, raise trainer.warmup_steps, or see by `audiossl units stats` whether the labels "
            "have more than one unit in use",
        ),
    )

    def __init__(self, upstream: Upstream, config: UnitPredictionConfig | None = None) -> None:
        self.config = config = config or UnitPredictionConfig()
        super().__init__(upstream, config)
        sets = [label_set(name) for name in config.labels]
        self.label_sets = nn.ModuleList(
            sets or [ComputedLabels.of_cepstra(config.clusters, config.seed, upstream.sample_rate_hz)]
        )
        width = config.projection_width
        self.projections = nn.ModuleList(nn.Linear(self.width, width) for _ in self.sets)
        # Uniform from 0 to 1, as published: all cosines begin close to one another.
        self.codewords = nn.ParameterList(
            nn.Parameter(torch.empty(each.num_labels, width).uniform_()) for each in self.sets
        )

    @property
    def sets(self) -> list[LabelSet]:
        """The sets of labels."""
        return list(self.label_sets)  # type: ignore[arg-type]

    def prepare(self, surroundings: Surroundings) -> None:
        """Raise LabelError for the first row without labels, or with labels of other sound."""
        for rows in surroundings.rows.values():
            for cut in rows:
                for each in self.sets:
                    each.check(cut)

    @property
    def needs_fit(self) -> bool:
        return super().needs_fit or not all(each.fitted for each in self.sets)

    def fit(self, batches: Iterable[Batch]) -> None:
        """The statistics of the encoder's input, and the clusters of cepstra where no labels are given."""
        if super().needs_fit:
            super().fit(batches)
        for each in self.sets:
            if not each.fitted:
                each.fit(batches)

    def take_heads(self, heads: Mapping[str, Tensor]) -> Sequence[str]:
        """A projection and codewords of every set, where a published encoder has them for as many units."""
        width, labels = self.config.projection_width, [each.num_labels for each in self.sets]
        names = ("final_proj.weight", "final_proj.bias", "label_embs_concat")
        shapes = [(width * len(labels), self.width), (width * len(labels),), (sum(labels), width)]
        heads = _without_symbols(heads, labels)
        if any(name not in heads or heads[name].shape != shape for name, shape in zip(names, shapes, strict=True)):
            return ()
        weights, biases = heads[names[0]].split(width), heads[names[1]].split(width)
        codes = heads[names[2]].split(labels)
        taken = []
        with torch.no_grad():
            for place, parts in enumerate(zip(weights, biases, codes, strict=True)):
                own = (f"projections.{place}.weight", f"projections.{place}.bias", f"codewords.{place}")
                for name, value in zip(own, parts, strict=True):
                    self.get_parameter(name).copy_(value)
                    taken.append(name)
        return taken

    def heard(self, batch: Batch) -> Tensor:
        """The sound (B, S) that the encoder is given. Labels are those of the batch's own sound."""
        return batch.wavs

    def loss(self, batch: Batch) -> Loss:
        """Mean over masked frames (and others, where they have a weight) of the cross-entropy, plus the penalty."""
        config = self.config
        targets = [each.of(batch, self.upstream) for each in self.sets]
        # Frames and labels are trimmed to the shorter.
        frames = self.upstream.num_frames(batch.lengths)
        for each in targets:
            frames = frames.minimum(each.counts)
        local = self.encoder.local_features(self.heard(batch), batch.lengths)
        local = scale_gradient(local, config.front_end_gradient)
        masked = locate(self.masks(batch, frames=frames))
        states = self.masked_states(local, frames, masked.mask)
        # Sums over frames, of which the total is the mean.
        scores = self._scores(states, masked, targets)
        counts = masked.counts * bool(config.masked_weight)
        total = config.masked_weight * scores.loss
        logs = {"masked_accuracy": scores.accuracy, "majority": scores.majority, "perplexity": scores.perplexity}
        logs |= {"target_entropy": scores.entropy, "usage": scores.usage}
        if config.unmasked_weight:
            others = locate(valid_frames(frames, local.shape[1]) & ~masked.mask)
            rest = self._scores(states, others, targets)
            counts = counts + others.counts
            total = total + config.unmasked_weight * rest.loss
            logs["unmasked_accuracy"] = rest.accuracy
        weight = counts.sum()
        total = total / weight.clamp(min=1)
        penalty = mean_square(local, frames, counts)
        logs |= {"cross_entropy": total.detach(), "feature_penalty": penalty.detach()}
        return Loss(total + config.feature_penalty * penalty, weight.to(total.dtype), logs)

    def _scores(self, states: Tensor, chosen: MaskedFrames, targets: Sequence[Targets]) -> _Scores:
        """Of the chosen frames of states (B, T, D)."""
        rows = chosen.rows(states)
        found = []
        for projection, codewords, target in zip(self.projections, self.codewords, targets, strict=True):
            units = chosen.rows(target.values)  # (N,)
            found.append(_score(self.logits(projection(rows), codewords), units))
        loss, *others = (torch.stack(each) for each in zip(*found, strict=True))
        return _Scores(loss.sum(), *(each.mean() for each in others))

    def logits(self, projected: Tensor, codewords: Tensor) -> Tensor:
        """Cosines over the temperature, in single precision: (N, P) and (K, P) -> (N, K)."""
        with torch.autocast(projected.device.type, enabled=False):
            cosines: Tensor = F.normalize(projected.float(), dim=-1) @ F.normalize(codewords.float(), dim=-1).mT
            return cosines / self.config.logit_temperature


def _without_symbols(heads: Mapping[str, Tensor], labels: Sequence[int]) -> Mapping[str, Tensor]:
    """Without the codewords of <s>, <pad>, </s> and <unk>, which fairseq has before those of the units of each set."""
    codes = heads.get("label_embs_concat")
    sizes = [size + _SYMBOLS for size in labels]
    if codes is None or len(codes) != sum(sizes):
        return heads
    return {**heads, "label_embs_concat": torch.cat([part[_SYMBOLS:] for part in codes.split(sizes)])}


def _score(logits: Tensor, units: Tensor) -> _Scores:
    """Of N frames, from logits (N, K) and units (N,). All 0 for no frame."""
    loss = F.cross_entropy(logits, units, reduction="sum")
    with torch.no_grad():
        count = max(len(units), 1)
        shares = torch.bincount(units, minlength=logits.shape[1]) / count
        predicted = logits.softmax(-1).sum(0) / count
        accuracy = (logits.argmax(-1) == units).sum() / count
    return _Scores(
        loss, accuracy, shares.max(), _entropy(shares), _entropy(predicted).exp(), (shares > 0).float().mean()
    )


def _entropy(shares: Tensor) -> Tensor:
    """() in nats, of shares (K,)."""
    entropy: Tensor = torch.special.entr(shares).sum()
    return entropy
