"""Masked prediction of the input itself, discrete or continuous (arXiv:1911.03912, section 2).

Spans of the embedded input are masked. From the encoder's output at a masked frame, its unit is told by a softmax over
all units, or the frame is told from other masked frames of the utterance (InfoNCE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, NonNegative, Positive
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.contrast import contrastive_logits, contrastive_losses, draw_distractors
from audiossl.nn.masked_frames import MaskedFrames, locate
from audiossl.training.masked import MaskedObjective, MaskingConfig


@dataclass(frozen=True)
class MaskedUnitsConfig(MaskingConfig):
    """A twentieth of the units begins a span of ten."""

    mask_prob: NonNegative = 0.5
    """Share of the frames that spans would cover if none overlapped."""


class MaskedUnits(MaskedObjective):
    """A linear layer over the units of an encoder whose input they are."""

    Config = MaskedUnitsConfig
    needs: ClassVar[tuple[str, ...]] = (*MaskedObjective.needs, "num_units")

    def __init__(self, upstream: Upstream, config: MaskedUnitsConfig | None = None) -> None:
        self.config = config = config or MaskedUnitsConfig()
        super().__init__(upstream, config)
        encoder: Any = upstream
        if not encoder.num_units:
            raise ConfigError(
                f"The input of {upstream.display_name} is frames, of which masked_units tells nothing; give it "
                f"upstream_options.units=FOLDER, or take objective=masked_contrast."
            )
        self.head = nn.Linear(self.width, encoder.num_units)

    def loss(self, batch: Batch) -> Loss:
        """Mean cross-entropy of the units of masked frames."""
        local, states, masked = _masked_pass(self, batch)
        units = masked.rows(local)[:, 0].long()
        logits = self.head(masked.rows(states)).float()
        weight = masked.counts.sum().to(logits.dtype)
        total = F.cross_entropy(logits, units, reduction="sum") / weight.clamp(min=1)
        with torch.no_grad():
            shares = torch.bincount(units, minlength=logits.shape[1]) / weight.clamp(min=1)
            right = (logits.argmax(-1) == units).sum() / weight.clamp(min=1)
        logs = {
            "masked_accuracy": right,
            "majority": shares.max(),
            "target_entropy": torch.special.entr(shares).sum(),
            "usage": (shares > 0).to(logits.dtype).mean(),
        }
        return Loss(total, weight, logs)


@dataclass(frozen=True)
class MaskedContrastConfig(MaskingConfig):
    """As of `masked_units`, and wav2vec 2.0's space of comparison."""

    mask_prob: NonNegative = 0.5
    """Share of the frames that spans would cover if none overlapped."""
    projection_width: Count = 256
    """Channels of the space in which predictions and frames are compared."""
    distractors: Count = 100
    """Wrong frames beside each right one, drawn from the masked frames of the same utterance."""
    logit_temperature: Positive = 0.1
    """What the cosines are divided by before the softmax."""


class MaskedContrast(MaskedObjective):
    """Projections of the encoder's input and of its output."""

    Config = MaskedContrastConfig

    def __init__(self, upstream: Upstream, config: MaskedContrastConfig | None = None) -> None:
        self.config = config = config or MaskedContrastConfig()
        super().__init__(upstream, config)
        if getattr(upstream, "num_units", 0):
            raise ConfigError(
                f"The input of {upstream.display_name} is units, which masked_contrast does not compare; take "
                f"objective=masked_units."
            )
        self.project_targets = nn.Linear(self.encoder.num_features, config.projection_width)
        self.project_states = nn.Linear(self.width, config.projection_width)

    def loss(self, batch: Batch) -> Loss:
        """Mean InfoNCE of masked frames."""
        config = self.config
        local, states, masked = _masked_pass(self, batch)
        norm = getattr(self.upstream, "feature_norm", None)
        rows = masked.rows(local)
        targets = self.project_targets(rows if norm is None else norm(rows))
        draws = self.draws(batch, config.seed, "distractors")
        logits = contrastive_logits(
            masked.padded(self.project_states(masked.rows(states))),
            masked.padded(targets),
            draw_distractors(masked.numbers, config.distractors, draws, targets.device),
            None,
            config.logit_temperature,
        )
        losses, won = contrastive_losses(logits)
        weight, valid = masked.counts.sum().to(losses.dtype), masked.valid
        total = torch.where(valid, losses, 0.0).sum() / weight.clamp(min=1)
        return Loss(total, weight, {"masked_accuracy": (won & valid).sum() / weight.clamp(min=1)})


def _masked_pass(task: MaskedObjective, batch: Batch) -> tuple[Tensor, Tensor, MaskedFrames]:
    """Local features (B, T, F), last hidden states (B, T, D) of the masked input, and where it is masked."""
    frames = task.upstream.num_frames(batch.lengths)
    local = task.encoder.local_features(batch.wavs, batch.lengths)
    masked = locate(task.masks(batch))
    return local, task.masked_states(local, frames, masked.mask), masked
