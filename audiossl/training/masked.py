"""What objectives that mask frames share: the masks, and what a masked frame becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count, CountOrZero, NonNegative, Seed
from audiossl.core.types import Batch
from audiossl.encoders.frame_encoder import FrameEncoder
from audiossl.encoders.upstream import Upstream
from audiossl.nn.span_masks import draw_span_masks
from audiossl.training.objective import Objective


@dataclass(frozen=True)
class MaskingConfig:
    """Spans of masked frames, which may overlap."""

    mask_prob: NonNegative = 0.65
    """Share of the frames that spans would cover if none overlapped: 0.65 with spans of 10 masks 49 % of them."""
    mask_span: Count = 10
    """Frames of a span."""
    min_spans: CountOrZero = 0
    """Least number of spans of an item that is long enough."""
    seed: Seed = 0
    """Seed of all draws."""


class MaskedObjective(Objective):
    """An objective on masked frames of an encoder whose parts can be run one by one.

    A subclass writes `loss` from `masks`, `fill` and the encoder's parts. An encoder without a mask embedding gets one
    that belongs to the objective.
    """

    needs: ClassVar[tuple[str, ...]] = ("num_features", "local_features", "embed", "contextualize")

    def __init__(self, upstream: Upstream, masking: MaskingConfig) -> None:
        super().__init__(upstream)
        self.masking = masking
        if not hasattr(upstream, "mask_embedding"):
            self.mask_embedding = nn.Parameter(torch.empty(self.width).uniform_())

    @property
    def encoder(self) -> FrameEncoder:
        """The upstream, as what the objective asks of it."""
        return cast(FrameEncoder, self.upstream)

    @property
    def width(self) -> int:
        """D of the encoder's last hidden state."""
        return self.upstream.widths[-1]

    @property
    def last(self) -> int:
        """The number of the encoder's last hidden state."""
        return self.upstream.num_layers - 1

    @property
    def shortest_s(self) -> float:
        upstream = self.upstream
        samples = upstream.receptive_field - 2 * upstream.edge + (self.masking.mask_span - 1) * upstream.stride
        return max(samples, upstream.min_samples) / upstream.sample_rate_hz

    def masks(self, batch: Batch, *key: object, frames: Tensor | None = None) -> Tensor:
        """(B, T) bool: spans of the real frames of each item, by its own draw.

        batch: of sound.
        key: what tells several masks of one item apart.
        frames: (B,), how many of the frames may be masked. None for all real ones.
        """
        frames = self.upstream.num_frames(batch.lengths) if frames is None else frames
        config = self.masking
        made = draw_span_masks(
            frames.tolist(),
            self.upstream.num_frames(batch.wavs.shape[1]),
            config.mask_prob,
            config.mask_span,
            self.draws(batch, config.seed, "mask", *key),
            min_spans=config.min_spans,
        )
        return made.to(batch.lengths.device, non_blocking=True)

    def fill(self, x: Tensor, masked: Tensor) -> Tensor:
        """Embedded frames (B, T, D) with those of masked (B, T) replaced by the mask embedding."""
        filler = self.encoder.mask_embedding if hasattr(self.upstream, "mask_embedding") else self.mask_embedding
        return torch.where(masked[..., None], filler.to(x.dtype), x)

    def without_embedding(self) -> None:
        """Where masked frames become something else, what they would become does not train."""
        if hasattr(self.upstream, "mask_embedding"):
            self.encoder.mask_embedding.requires_grad_(False)
        else:
            del self.mask_embedding

    def masked_states(self, local: Tensor, frames: Tensor, masked: Tensor) -> Tensor:
        """The encoder's last states (B, T, D), where masked (B, T) frames are hidden from the Transformer.

        local: local features (B, T, F) of all frames.
        frames: (B,) real frames.
        masked: (B, T) bool.
        """
        x = self.fill(self.encoder.embed(local), masked)
        return self.encoder.contextualize(x, frames, self.last)[-1]
