"""Contrastive pre-training on quantised targets (wav2vec 2.0, arXiv:2006.11477, section 3).

Spans of the front end's features are masked before the Transformer. Its output at a masked frame must be closer to the
quantised features of that frame, taken before the mask, than to those of other masked frames of the utterance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Share, ShareBelowOne
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.contrast import contrastive_logits, contrastive_losses, draw_distractors, same_codes
from audiossl.nn.gradients import scale_gradient
from audiossl.nn.masked_frames import MaskedFrames, locate, mean_square
from audiossl.nn.quantizer import GumbelQuantizer, Quantized, code_perplexity, code_usage, gumbel_noise, item_means
from audiossl.training.masked import MaskedObjective, MaskingConfig
from audiossl.training.objective import Guard


@dataclass(frozen=True)
class ContrastiveConfig(MaskingConfig):
    """The published settings of the base model. Those of the large one are in the README."""

    min_spans: CountOrZero = 2
    """Least number of spans of an item that is long enough."""
    groups: Count = 2
    """Codebooks, of which each target has an entry."""
    codes: Count = 320
    """Entries of each codebook."""
    code_width: Count = 256
    """Channels of a quantised vector, all groups together."""
    projection_width: Count = 256
    """Channels of the space in which predictions and targets are compared."""
    distractors: Count = 100
    """Wrong targets beside each right one, drawn from the masked frames of the same utterance."""
    logit_temperature: Positive = 0.1
    """What the cosines are divided by before the softmax."""
    first_temperature: Positive = 2.0
    """Temperature of the Gumbel softmax at the first step."""
    last_temperature: Positive = 0.5
    """Temperature below which it does not fall."""
    temperature_decay: Share = 0.999995
    """What the temperature is multiplied by at each step."""
    diversity_weight: NonNegative = 0.1
    """Weight of the term that asks for all codes to be used alike."""
    diversity: Literal["batch", "item"] = "batch"
    """Whether codes are to be used alike in a batch, as published, or in each item, whose loss then does not depend on
    the batch that it is in."""
    feature_penalty: NonNegative = 10.0
    """Weight of the mean square of the front end's output."""
    front_end_gradient: NonNegative = 0.1
    """What the gradient of the front end is multiplied by."""
    target_dropout: ShareBelowOne = 0.1
    """Share of the features dropped before they are quantised."""


# fairseq's names -> ours.
_PUBLISHED = {
    "quantizer.vars": "quantizer.entries",
    "quantizer.weight_proj.weight": "quantizer.logits.weight",
    "quantizer.weight_proj.bias": "quantizer.logits.bias",
    "project_q.weight": "project_targets.weight",
    "project_q.bias": "project_targets.bias",
    "final_proj.weight": "project_states.weight",
    "final_proj.bias": "project_states.bias",
}


class _Scores(NamedTuple):
    """contrast: () mean over masked frames. accuracy: () share of frames whose right target wins."""

    contrast: Tensor
    accuracy: Tensor


class Wav2Vec2Objective(MaskedObjective):
    """A Gumbel quantiser of the front end's features, and projections of targets and predictions."""

    Config = ContrastiveConfig
    guards = (
        Guard(
            "perplexity",
            least=1.5,
            first_step=5000,
            advice="raise diversity_weight, lower trainer.lr, or slow the fall of the temperature (temperature_decay)",
        ),
    )

    def __init__(self, upstream: Upstream, config: ContrastiveConfig | None = None) -> None:
        self.config = config = config or ContrastiveConfig()
        super().__init__(upstream, config)
        self.temperature = config.first_temperature
        self.dropout = nn.Dropout(config.target_dropout)
        self.quantizer = GumbelQuantizer(self.encoder.num_features, config.groups, config.codes, config.code_width)
        self.project_targets = nn.Linear(config.code_width, config.projection_width)
        self.project_states = nn.Linear(self.width, config.projection_width)

    @property
    def item_wise(self) -> bool:
        """As published, the diversity is that of a whole batch."""
        return self.config.diversity == "item" or self.config.diversity_weight == 0

    def take_heads(self, heads: Mapping[str, Tensor]) -> Sequence[str]:
        """Quantiser and projections, each where a published encoder has it in the same shape."""
        found = {ours: heads[theirs] for theirs, ours in _PUBLISHED.items() if theirs in heads}
        entries = found.get("quantizer.entries")
        if entries is not None and entries.numel() == self.quantizer.entries.numel():  # (1, G V, D / G)
            found["quantizer.entries"] = entries.reshape(self.quantizer.entries.shape)
        return self.take(found)

    def begin_step(self, step: int) -> None:
        config = self.config
        self.temperature = max(config.first_temperature * config.temperature_decay**step, config.last_temperature)

    def loss(self, batch: Batch) -> Loss:
        """Mean over masked frames of the contrastive loss, plus the weighted diversity and feature penalty."""
        config = self.config
        frames = self.upstream.num_frames(batch.lengths)
        local = scale_gradient(self.encoder.local_features(batch.wavs, batch.lengths), config.front_end_gradient)
        masked = locate(self.masks(batch))
        # Predictions from what is masked, targets from what is not.
        states = self.masked_states(local, frames, masked.mask)
        quantized = self._quantize(masked.rows(local), masked, batch)
        scores = self._scores(masked.rows(states), quantized, masked, batch)
        # All three terms as means over masked frames.
        diversity, perplexity = self._diversity(quantized.probabilities, masked)
        penalty = mean_square(local, frames, masked.counts)
        total = scores.contrast + config.diversity_weight * diversity + config.feature_penalty * penalty
        logs = {
            "contrast": scores.contrast.detach(),
            "diversity": diversity.detach(),
            "feature_penalty": penalty.detach(),
            "masked_accuracy": scores.accuracy,
            "perplexity": perplexity.detach(),
            "usage": code_usage(quantized.codes, config.codes),
            "temperature": total.new_tensor(self.temperature),
        }
        return Loss(total, masked.counts.sum().to(total.dtype), logs)

    def _quantize(self, local: Tensor, masked: MaskedFrames, batch: Batch) -> Quantized:
        """Targets of the masked frames, from their local features (N, F). Validation takes the most probable codes."""
        config, noise = self.config, None
        if self.training:
            draws = self.draws(batch, config.seed, "codes")
            noise = gumbel_noise(masked.numbers, config.groups, config.codes, draws, local.device)
        norm = getattr(self.upstream, "feature_norm", None)
        features = local if norm is None else norm(local)
        quantized: Quantized = self.quantizer(self.dropout(features), self.temperature, noise)
        return quantized

    def _scores(self, states: Tensor, quantized: Quantized, masked: MaskedFrames, batch: Batch) -> _Scores:
        """From the states (N, D) at masked frames and their targets."""
        config = self.config
        draws = self.draws(batch, config.seed, "distractors")
        distractors = draw_distractors(masked.numbers, config.distractors, draws, states.device)
        logits = contrastive_logits(
            masked.padded(self.project_states(states)),
            masked.padded(self.project_targets(quantized.vectors)),
            distractors,
            same_codes(masked.padded(quantized.codes)),
            config.logit_temperature,
        )
        losses, won = contrastive_losses(logits)
        count = masked.counts.sum().clamp(min=1)
        valid = masked.valid
        return _Scores(torch.where(valid, losses, 0.0).sum() / count, (won & valid).sum() / count)

    def _diversity(self, probabilities: Tensor, masked: MaskedFrames) -> tuple[Tensor, Tensor]:
        """(G V - perplexity) / (G V), and a group's perplexity, of the mean softmax of the batch or of each item."""
        size, count = self.config.groups * self.config.codes, masked.counts.sum().clamp(min=1)
        if self.config.diversity == "batch":
            perplexity = code_perplexity(probabilities.sum(0) / count)
        else:
            each = code_perplexity(item_means(probabilities, masked.counts))  # (B,)
            perplexity = (each * masked.counts).sum() / count
        return (size - perplexity) / size, perplexity / self.config.groups
