"""Contrastive predictive coding as wav2vec has it (arXiv:1904.05862, section 2.2).

From the context c at frame t an affine map of each step k predicts the features z at frame t + k. With y = z'h the loss
of a frame and a step is -log s(y) for the true features and -log s(-y) for those of each of ten other frames of the
utterance, summed. vq-wav2vec (arXiv:1910.05453, section 3) quantises z first, for context and targets alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Seed, Share
from audiossl.core.types import Batch, Loss
from audiossl.encoders.frame_encoder import FrameEncoder
from audiossl.encoders.upstream import Upstream
from audiossl.nn.contrast import draw_distractors
from audiossl.nn.masked_frames import mean_over_frames
from audiossl.nn.masking import valid_frames
from audiossl.nn.quantizer import GumbelQuantizer, Quantized, code_perplexity, code_usage, gumbel_noise, item_means
from audiossl.training.objective import Guard, Objective


@dataclass(frozen=True)
class CpcConfig:
    """The published settings of wav2vec and of vq-wav2vec."""

    steps: Count = 12
    """Steps ahead that are predicted."""
    first_step: CountOrZero = 0
    """Frames from the context to the first of them, 0 for the first frame that has no sample in common with it."""
    distractors: Count = 10
    """Wrong frames beside each right one, drawn from the same utterance."""
    first_temperature: Positive = 2.0
    """Temperature of a Gumbel quantiser at the first step."""
    last_temperature: Positive = 0.5
    """Temperature below which it does not fall."""
    temperature_decay: Share = 0.999995
    """What the temperature is multiplied by at each step."""
    diversity_weight: NonNegative = 0.0
    """Weight of the term that asks a Gumbel quantiser for all codes to be used alike, which vq-wav2vec has not."""
    diversity: Literal["batch", "item"] = "batch"
    """Whether codes are to be used alike in a batch, or in each item."""
    codebook_weight: NonNegative = 1.0
    """Weight of the distance to the nearest entries of a k-means quantiser, its commitment included."""
    seed: Seed = 0
    """Seed of all draws."""


_PROJECTION = "wav2vec_predictions.project_to_steps"  # fairseq's


class _Scores(NamedTuple):
    """total: () sum of losses. won: () right frames that win. pairs: (B,) frames and steps of each item."""

    total: Tensor
    won: Tensor
    pairs: Tensor


class CpcObjective(Objective):
    """An affine map for each step ahead, and the encoder's own quantiser where it has one.

    Such an encoder has `quantizer`, `quantize` and `aggregate`, as that of wav2vec has.
    """

    Config = CpcConfig
    needs: ClassVar[tuple[str, ...]] = ("num_features", "local_features", "embed", "contextualize", "is_causal")
    guards = (
        Guard(
            "perplexity",
            least=1.5,
            first_step=5000,
            advice="raise diversity_weight, lower trainer.lr, or slow the fall of the temperature (temperature_decay)",
        ),
    )

    def __init__(self, upstream: Upstream, config: CpcConfig | None = None) -> None:
        self.config = config = config or CpcConfig()
        super().__init__(upstream)
        self.temperature = config.first_temperature
        self.first_step = config.first_step or math.ceil(upstream.receptive_field / upstream.stride)
        quantizer: Any = getattr(upstream, "quantizer", None)
        self.quantizes = quantizer is not None
        # A Gumbel softmax is drawn from and kept apart; nearest entries are pulled.
        self.draws_codes = isinstance(quantizer, GumbelQuantizer)
        encoder: Any = upstream
        self.target_width = int(upstream.widths[1] if self.quantizes else encoder.num_features)
        self.predict_steps = nn.Linear(upstream.widths[-1], config.steps * self.target_width)

    @property
    def encoder(self) -> FrameEncoder:
        """The upstream, as what the objective asks of it."""
        return cast(FrameEncoder, self.upstream)

    @property
    def shortest_s(self) -> float:
        upstream = self.upstream
        samples = upstream.receptive_field - 2 * upstream.edge + self.first_step * upstream.stride
        return max(samples, upstream.min_samples) / upstream.sample_rate_hz

    @property
    def item_wise(self) -> bool:
        """Diversity may be that of a whole batch."""
        return not self.draws_codes or self.config.diversity == "item" or self.config.diversity_weight == 0

    def take_heads(self, heads: Mapping[str, Tensor]) -> Sequence[str]:
        """The published maps, whose bias all steps have in common."""
        weight, bias = heads.get(f"{_PROJECTION}.weight"), heads.get(f"{_PROJECTION}.bias")
        if weight is None or bias is None or weight.ndim != 4:
            return ()
        maps = weight[:, :, 0].permute(2, 1, 0).flatten(0, 1)  # (D, F, 1, K) -> (K F, D)
        return self.take({"predict_steps.weight": maps, "predict_steps.bias": bias.repeat(weight.shape[3])})

    def begin_step(self, step: int) -> None:
        config = self.config
        self.temperature = max(config.first_temperature * config.temperature_decay**step, config.last_temperature)

    def loss(self, batch: Batch) -> Loss:
        """Mean over frames and steps of the loss above, plus the quantiser's terms."""
        frames = self.upstream.num_frames(batch.lengths)
        local = self.encoder.local_features(batch.wavs, batch.lengths)
        quantized = self._quantized(local, frames, batch) if self.quantizes else None
        if quantized is None:
            targets, context = local, self._context(self.encoder.embed(local), frames)
        else:
            encoder: Any = self.upstream
            targets = quantized.vectors.to(local.dtype)
            context = encoder.aggregate(targets, frames)
        scores = self._scores(context, targets, frames, batch)
        count = scores.pairs.sum()
        total = contrast = scores.total / count.clamp(min=1)
        logs = {"contrast": contrast.detach(), "accuracy": scores.won / count.clamp(min=1)}
        if quantized is not None:
            penalty, figures = self._penalty(quantized, frames, scores.pairs)
            total, logs = total + penalty, {**logs, **figures}
        return Loss(total, count.to(total.dtype), logs)

    def _context(self, x: Tensor, frames: Tensor) -> Tensor:
        return self.encoder.contextualize(x, frames, self.upstream.num_layers - 1)[-1]

    def _quantized(self, local: Tensor, frames: Tensor, batch: Batch) -> Quantized:
        """All local features (B, T, F) as codes. Validation takes the most probable ones."""
        noise = None
        if self.draws_codes and self.training:
            quantizer = cast(GumbelQuantizer, self.upstream.quantizer)
            draws = self.draws(batch, self.config.seed, "codes")
            rows = gumbel_noise(frames.tolist(), quantizer.groups, quantizer.codes, draws, local.device)
            noise = rows.new_zeros(*local.shape[:2], quantizer.groups, quantizer.codes)
            noise[valid_frames(frames, local.shape[1])] = rows
        encoder: Any = self.upstream
        quantized: Quantized = encoder.quantize(local, frames, self.temperature, noise)
        return quantized

    def _scores(self, context: Tensor, targets: Tensor, frames: Tensor, batch: Batch) -> _Scores:
        """Of all steps, from context (B, T, D) and targets (B, T, F)."""
        config, numbers = self.config, frames.tolist()
        size = max(numbers)
        draws = self.draws(batch, config.seed, "distractors")
        others = draw_distractors(numbers, config.distractors, draws, targets.device)  # (B, size, N)
        targets, valid = targets[:, :size], valid_frames(frames, size)
        items = torch.arange(len(targets), device=targets.device)[:, None, None]
        # Each frame and its distractors, the same at every step: (B, size, 1 + N, F).
        candidates = torch.cat([targets[:, :, None], targets[items, others]], dim=2)
        predictions = self.predict_steps(context[:, :size]).unflatten(-1, (config.steps, self.target_width))
        total = predictions[:, :0].float().sum()  # 0, and differentiable where no item is long enough
        won = total.detach()
        for step, ahead in enumerate(range(self.first_step, min(self.first_step + config.steps, size))):
            logits = torch.einsum("btf,btnf->btn", predictions[:, :-ahead, step], candidates[:, ahead:]).float()
            right, wrong = logits[..., 0], logits[..., 1:]
            losses = F.softplus(-right) + F.softplus(wrong).sum(-1)
            total = total + torch.where(valid[:, ahead:], losses, 0.0).sum()
            won = won + ((right > wrong.amax(-1)) & valid[:, ahead:]).sum()
        steps = torch.arange(self.first_step, self.first_step + config.steps, device=frames.device)
        return _Scores(total, won, (frames[:, None] - steps).clamp(min=0).sum(1))

    def _penalty(self, quantized: Quantized, frames: Tensor, pairs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the quantiser adds to the loss (), and figures for the log. pairs (B,) are what an item counts by."""
        config, valid = self.config, valid_frames(frames, quantized.codes.shape[1])
        rows, codes = quantized.probabilities[valid], quantized.codes[valid]  # (N, G, V), (N, G)
        groups, size = rows.shape[1], rows.shape[1] * rows.shape[2]
        if self.draws_codes and config.diversity == "item":
            perplexity = (code_perplexity(item_means(rows, frames)) * pairs).sum() / pairs.sum().clamp(min=1)
        else:
            perplexity = code_perplexity(rows.mean(0))
        logs = {"perplexity": perplexity.detach() / groups, "usage": code_usage(codes, rows.shape[2])}
        if quantized.errors is not None:
            errors = mean_over_frames(quantized.errors, frames, pairs)
            return config.codebook_weight * errors, {**logs, "codebook_error": errors.detach()}
        diversity = (size - perplexity) / size
        temperature = diversity.new_tensor(self.temperature)
        return config.diversity_weight * diversity, {
            **logs,
            "diversity": diversity.detach(),
            "temperature": temperature,
        }
