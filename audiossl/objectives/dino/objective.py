"""Self-distillation of whole utterances (DINO, arXiv:2104.14294, for voices as in arXiv:2211.04168).

Two long and four short crops of an utterance, each in another room, channel and noise, are its views. A student sees
all of them, a teacher the long ones. The teacher is the moving average of the student. With outputs s and t of their
heads and the teacher's centre c, the loss of an utterance is the mean over pairs of different views of

    - sum_k softmax((t - c) / temperature_t)_k log softmax(s / temperature_s)_k.

Centre and temperatures keep the teacher from giving the same to all utterances. What views of an utterance share is the
voice, or the kind of sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from audiossl.core.ranges import Count, CountOrZero, Positive, Seed, Share, ShareBelowOne
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.augmentations import Augmentation, AugmentationConfig
from audiossl.nn.crops import crops_at
from audiossl.nn.dino_head import DinoHead
from audiossl.nn.ema import EmaTeacher, linear_ramp
from audiossl.nn.pooling import make_pooling
from audiossl.training.objective import Guard, Objective


@dataclass(frozen=True)
class DinoConfig:
    """Defaults: as published for voices, with rooms and noise that are made and not recorded."""

    long_s: Positive = 4.0
    """Seconds of a long crop. An utterance that is shorter is a long crop itself."""
    short_s: Positive = 2.0
    """Seconds of a short crop, at most half of the utterance."""
    num_long: Count = 2
    """Long crops, which the teacher sees."""
    num_short: CountOrZero = 4
    """Short crops, which the student alone sees."""
    layer: int = -1
    """The layer whose frames are pooled. Negative numbers count from the end."""
    pooling: Literal["mean", "statistics"] = "statistics"
    """What makes a vector of the frames: their mean, or mean and deviation."""
    hidden_width: Count = 2048
    """Hidden units of the heads."""
    bottleneck: Count = 256
    """Numbers of the vector of unit length in the heads."""
    outputs: Count = 65536
    """Outputs of the heads."""
    student_temperature: Positive = 0.1
    """Temperature of the student's softmax."""
    teacher_temperature: Positive = 0.04
    """Temperature of the teacher's softmax."""
    first_momentum: Share = 0.996
    """Share of itself that the teacher keeps in the first update."""
    last_momentum: Share = 1.0
    """Share of itself that the teacher keeps after `momentum_steps`."""
    momentum_steps: Count = 100000
    """Updates in which the momentum goes from its first to its last value."""
    centre_momentum: ShareBelowOne = 0.9
    """Share of itself that the centre keeps in an update."""
    augment: AugmentationConfig = field(
        default_factory=lambda: AugmentationConfig(reverb=0.5, channel=0.5, noise=0.6, gain_db=6.0)
    )
    """How the sound of each view is changed."""
    seed: Seed = 0
    """Seed of all draws."""


class DinoObjective(Objective):
    """An encoder and a head, and averaged copies of both."""

    Config = DinoConfig
    guards = (
        Guard("perplexity", 1.5, 500, "lower teacher_temperature or trainer.lr, or let the batches be larger"),
        Guard("sharpness", 1e-3, 2000, "lower teacher_temperature, or raise centre_momentum"),
    )
    centre: Tensor

    def __init__(self, upstream: Upstream, config: DinoConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config = config or DinoConfig()
        self.layer = range(upstream.num_layers)[config.layer]
        self.pooling = make_pooling(config.pooling, upstream.widths[self.layer])
        self.head = DinoHead(self.pooling.out_width, config.hidden_width, config.bottleneck, config.outputs)
        self.teacher, self.teacher_head = EmaTeacher(upstream), EmaTeacher(self.head)
        self.register_buffer("centre", torch.zeros(config.outputs))
        self.augmentation = Augmentation(config.augment, upstream.sample_rate_hz)
        # Of the batches of a step, for the centre.
        self._sum: Tensor | None = None
        self._count = 0

    @property
    def item_wise(self) -> bool:
        return self.augmentation.item_wise

    @property
    def may_skip_parameters(self) -> bool:
        return bool(self.upstream.training_only) or self.layer < self.upstream.num_layers - 1

    def fit(self, batches: Iterable[Batch]) -> None:
        super().fit(batches)
        self.teacher.update(self.upstream, 1.0)  # the statistics, which are no weights

    def after_step(self, step: int) -> None:
        """The teacher follows, and so does its centre."""
        config = self.config
        momentum = linear_ramp(step, config.first_momentum, config.last_momentum, config.momentum_steps)
        self.teacher.update(self.upstream, momentum)
        self.teacher_head.update(self.head, momentum)
        if self._sum is None:
            return
        sums = torch.cat([self._sum, self._sum.new_tensor([self._count])])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums)
        self.centre.lerp_(sums[:-1] / sums[-1], 1 - config.centre_momentum)
        self._sum, self._count = None, 0

    def loss(self, batch: Batch) -> Loss:
        """The mean over utterances."""
        config = self.config
        long = self._views(batch, "long", config.num_long)
        short = self._views(batch, "short", config.num_short)
        students = torch.cat([self._embedded(views, self.upstream, self.head) for views in (long, short) if views])
        with torch.no_grad():
            teachers = self._embedded(long, self.teacher.model, self.teacher_head.model)  # (views, B, K)
            targets = ((teachers - self.centre) / config.teacher_temperature).softmax(-1)
        told = (students / config.student_temperature).log_softmax(-1)
        pairs = -torch.einsum("ibk,jbk->ijb", targets, told)
        other = ~torch.eye(len(targets), len(told), dtype=torch.bool, device=pairs.device)
        losses = pairs[other].mean(0)  # (B,)
        if self.training:
            added = teachers.sum((0, 1))
            self._sum = added if self._sum is None else self._sum + added
            self._count += teachers.shape[0] * teachers.shape[1]
        return Loss(losses.mean(), losses.new_tensor(len(batch)), spreads(targets))

    def _views(self, batch: Batch, kind: Literal["long", "short"], number: int) -> list[tuple[Tensor, Tensor]]:
        """Crops of each item, changed, as wavs (B, S) and lengths (B,), by draws of their own."""
        config, rate, least = self.config, self.upstream.sample_rate_hz, self.upstream.min_samples
        if kind == "long":
            lengths = batch.lengths.clamp(max=max(round(config.long_s * rate), least))
        else:
            halves = torch.div(batch.lengths, 2, rounding_mode="floor")
            lengths = halves.clamp(min=least, max=max(round(config.short_s * rate), least))
        longest_s = config.long_s if kind == "long" else config.short_s
        size = min(batch.wavs.shape[1], max(round(longest_s * rate), least))
        views = []
        for view in range(number):
            draws = self.draws(batch, config.seed, kind, view)
            places = torch.stack([torch.rand((), generator=draw) for draw in draws]).to(lengths.device)
            first = (places * (batch.lengths - lengths + 1)).long()
            wavs = crops_at(batch.wavs, first, lengths, size)
            views.append((self.augmentation(wavs, lengths, draws), lengths))
        return views

    def _embedded(self, views: list[tuple[Tensor, Tensor]], encoder: nn.Module, head: nn.Module) -> Tensor:
        """What a head makes of views, (views, B, K)."""
        wavs, lengths = (torch.cat(parts) for parts in zip(*views, strict=True))
        features = encoder(wavs, lengths, up_to_layer=self.layer)
        made: Tensor = head(self.pooling(features.layers[self.layer].float(), features.lengths))
        return made.float().view(len(views), -1, made.shape[-1])


@torch.no_grad()
def spreads(targets: Tensor) -> dict[str, Tensor]:
    """How far a teacher is from a collapse, from its targets (views, B, K).

    perplexity: of the mean over all, 1 where it gives the same output to all utterances.
    target_entropy: mean entropy of a target.
    sharpness: the entropy of a target below that of an even one, 0 where all outputs are alike.
    """
    entropy = torch.special.entr(targets).sum(-1).mean()
    overall = torch.special.entr(targets.mean((0, 1))).sum()
    even = torch.log(entropy.new_tensor(targets.shape[-1]))
    return {"perplexity": overall.exp(), "target_entropy": entropy, "sharpness": even - entropy}
