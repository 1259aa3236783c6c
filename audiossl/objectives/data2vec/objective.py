"""Self-distillation on contextual targets (data2vec, arXiv:2202.03555, and data2vec 2.0, arXiv:2212.07525).

A teacher, the moving average of the encoder, hears the whole of an utterance. Its targets are the means of the
feed-forward outputs of its top blocks, each normalised over time. The encoder hears it with spans masked and tells the
targets of the masked frames. In the second version several masked copies share one pass of the teacher, only frames
that are not masked are encoded, and a small convolutional decoder fills in the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Share, ShareBelowOne
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.draws import generator_on
from audiossl.nn.ema import EmaTeacher, linear_ramp
from audiossl.nn.instance_norm import normalize_over_time
from audiossl.nn.masked_frames import MaskedFrames, locate
from audiossl.nn.masking import valid_frames
from audiossl.objectives.data2vec.decoder import ConvDecoder
from audiossl.training.masked import MaskedObjective, MaskingConfig
from audiossl.training.objective import Guard


@dataclass(frozen=True)
class SelfDistillationConfig(MaskingConfig):
    """The published settings of the first version's base model. Those of the second are in data2vec2.yaml."""

    min_spans: CountOrZero = 2
    """Least number of spans of an item that is long enough."""
    top_layers: Count = 8
    """Blocks, from the last, of which the targets are the mean."""
    first_tau: Share = 0.999
    """Share of itself that the teacher keeps in the first update."""
    last_tau: Share = 0.9999
    """Share of itself that it keeps from `tau_steps` on."""
    tau_steps: Count = 30000
    """Updates in which one becomes the other, in a straight line."""
    averaged: tuple[str, ...] = ("blocks",)
    """Parts of the encoder that the teacher averages. All others it shares with the student."""
    copies: Count = 1
    """Masked copies of each item that share a pass of the teacher."""
    decoder_layers: CountOrZero = 0
    """Convolutions of the decoder. 0 for none: masked frames are then encoded as the mask embedding, and a linear layer
    tells the targets."""
    decoder_width: Count = 384
    """Channels of the decoder."""
    decoder_kernel: Count = 7
    """Frames that each of its convolutions sees."""
    decoder_groups: Count = 16
    """Groups of channels that its convolutions keep apart."""
    decoder_dropout: ShareBelowOne = 0.1
    """Share of the encoded numbers dropped before the decoder."""
    mask_noise: NonNegative = 0.01
    """Standard deviation of the noise that stands for masked frames before the decoder."""


class Data2VecObjective(MaskedObjective):
    """An averaged copy of the encoder, and a linear head or a convolutional decoder."""

    Config = SelfDistillationConfig
    needs: ClassVar[tuple[str, ...]] = (*MaskedObjective.needs, "blocks")
    guards = (
        Guard("target_std", 0.1, 5000, "lower trainer.lr, or let the teacher move more slowly (first_tau, last_tau)"),
        Guard("prediction_std", 0.01, 5000, "lower trainer.lr, or lengthen trainer.warmup_steps"),
    )

    def __init__(self, upstream: Upstream, config: SelfDistillationConfig | None = None) -> None:
        self.config = config = config or SelfDistillationConfig()
        super().__init__(upstream, config)
        self.tau = config.first_tau
        if config.top_layers > upstream.num_layers - 1:
            raise ConfigError(
                f"top_layers={config.top_layers} are asked for, and the encoder has {upstream.num_layers - 1} blocks; "
                f"choose no more."
            )
        parts = [name for name, _ in upstream.named_children()]
        for part in config.averaged:
            if part not in parts:
                raise ConfigError(f"averaged={part}: the encoder has no such part, only {', '.join(parts)}.")
        self.teacher = EmaTeacher(upstream, tuple(f"{part}." for part in config.averaged))
        self.head: nn.Module
        if config.decoder_layers:
            shape = (config.decoder_width, config.decoder_layers, config.decoder_kernel, config.decoder_groups)
            self.head, self.dropout = ConvDecoder(self.width, *shape), nn.Dropout(config.decoder_dropout)
            self.without_embedding()
        else:
            self.head = nn.Linear(self.width, self.width)

    def take_heads(self, heads: Mapping[str, Tensor]) -> Sequence[str]:
        """The linear head of the first version."""
        return self.take({name.replace("final_proj", "head"): value for name, value in heads.items()})

    def fit(self, batches: Iterable[Batch]) -> None:
        super().fit(batches)
        self.teacher.update(self.upstream, 1.0)  # the statistics, which are no weights

    def begin_step(self, step: int) -> None:
        self.tau = self._tau_at(step)

    def after_step(self, step: int) -> None:
        self.teacher.update(self.upstream, self._tau_at(step))

    def _tau_at(self, step: int) -> float:
        config = self.config
        return linear_ramp(step, config.first_tau, config.last_tau, config.tau_steps)

    def loss(self, batch: Batch) -> Loss:
        """Squared error summed over channels over sqrt(D), its mean over the masked frames of all copies."""
        frames = self.upstream.num_frames(batch.lengths)
        local = self.encoder.local_features(batch.wavs, batch.lengths)
        every = self.targets(local.detach(), frames)
        masks = torch.stack([self.masks(batch, copy) for copy in range(self.config.copies)])  # (M, B, T)
        masked = locate(masks.flatten(0, 1))  # copies are rows of a batch of M B
        made = self._predictions(self.encoder.embed(local), frames, masked, batch)
        # Student and teacher at the masked frames.
        targets = masked.rows(every.repeat(self.config.copies, 1, 1))
        predictions = masked.rows(made).float()
        errors = (predictions - targets).square().sum(-1) / math.sqrt(self.width)
        weight = masked.counts.sum().to(errors.dtype)
        logs = {
            "target_std": _spread(targets),
            "prediction_std": _spread(predictions.detach()),
            "tau": errors.new_tensor(self.tau),
        }
        return Loss(errors.sum() / weight.clamp(min=1), weight, logs)

    @torch.no_grad()
    def targets(self, local: Tensor, frames: Tensor) -> Tensor:
        """Local features (B, T, F) of (B,) real frames -> what is to be told of each frame, (B, T, D) in float32."""
        teacher: Any = self.teacher.model
        outputs: list[Tensor] = []
        teacher.contextualize(teacher.embed(local), frames, self.last, ffn_outputs=outputs)
        valid = valid_frames(frames, local.shape[1])
        top = outputs[-self.config.top_layers :]
        return torch.stack([normalize_over_time(output, valid) for output in top]).mean(0)

    def masks(self, batch: Batch, *key: object, frames: Tensor | None = None) -> Tensor:
        """As of `MaskedObjective`. Where a decoder needs a frame to start from, the first of an item is never masked
        with all others."""
        mask = super().masks(batch, *key, frames=frames)
        if self.config.decoder_layers:
            valid = valid_frames(self.upstream.num_frames(batch.lengths), mask.shape[1])
            mask[:, 0] &= (valid & ~mask).any(1)
        return mask

    def _predictions(self, x: Tensor, frames: Tensor, masked: MaskedFrames, batch: Batch) -> Tensor:
        """What the student tells of each frame, (M B, T, D).

        x: embedded frames (B, T, D).
        frames: (B,) real frames.
        masked: of M B copies.
        batch: whose draws noise is drawn by.
        """
        copies, mask = self.config.copies, masked.mask
        x, frames = x.repeat(copies, 1, 1), frames.repeat(copies)
        if not self.config.decoder_layers:
            states = self.encoder.contextualize(self.fill(x, mask), frames, self.last)[-1]
            told: Tensor = self.head(states)
            return told
        # What is masked must not be seen by a convolution over positions either.
        heard = torch.where(mask[..., None], x.new_zeros(()), x)
        states = self.dropout(self.encoder.contextualize(heard, frames, self.last, kept=~mask)[-1])
        noise = self._noise(masked, batch, states)
        decoded: Tensor = self.head(torch.where(mask[..., None], noise, states), valid_frames(frames, x.shape[1]))
        return decoded

    def _noise(self, masked: MaskedFrames, batch: Batch, states: Tensor) -> Tensor:
        """(M B, T, D): noise at masked frames, by the draws of each item."""
        noise = torch.zeros_like(states)
        draws = [
            generator_on(states.device, draw)
            for copy in range(self.config.copies)
            for draw in self.draws(batch, self.config.seed, "noise", copy)
        ]
        rows = [
            torch.randn(count, self.width, generator=draw, device=states.device)
            for count, draw in zip(masked.numbers, draws, strict=True)
        ]
        noise[masked.items, masked.frames] = (self.config.mask_noise * torch.cat(rows)).to(noise.dtype)
        return noise


def _spread(rows: Tensor) -> Tensor:
    """(): the standard deviation over rows (N, D), its mean over channels."""
    centred = rows - rows.sum(0) / max(len(rows), 1)
    return (centred.square().sum(0) / max(len(rows) - 1, 1) + 1e-6).sqrt().mean()
