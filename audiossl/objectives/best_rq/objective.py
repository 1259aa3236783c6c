"""Masked prediction of labels that nothing has to learn (BEST-RQ, arXiv:2202.01855, section 3).

The label of a frame is the nearest of fixed random codes to a fixed random projection of the log mel frames around it,
normalised by the training data. Of masked frames, whose features are noise, a linear layer predicts the label. Labels
are made of sound and not of the encoder's features, so any encoder whose parts can be run one by one can be trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import TrainingError
from audiossl.core.ranges import Count, NonNegative
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.draws import generator_on, keyed_generator
from audiossl.nn.filterbank import CentredLogMel
from audiossl.nn.linear import project
from audiossl.nn.masking import valid_frames
from audiossl.nn.random_quantizer import RandomProjectionQuantizer, label_figures
from audiossl.nn.standardization import StreamingMoments
from audiossl.training.masked import MaskedObjective, MaskingConfig
from audiossl.training.objective import Guard

_LOG_EPS = 1e-6
_FIT_BATCHES = 500
# A band that varies by less is constant but for rounding.
_LEAST_DEVIATION = 1e-4


@dataclass(frozen=True)
class BestRqConfig(MaskingConfig):
    """Defaults: the codes as published, masks and noise as in speechbrain's recipe."""

    mask_prob: NonNegative = 0.6
    """Share of the frames that spans would cover if none overlapped."""
    mask_span: Count = 4
    """Frames of a span."""
    filler: Literal["noise", "embedding"] = "noise"
    """What masked frames become: noise in place of the local features, or the mask embedding behind them."""
    noise_std: NonNegative = 0.1
    """Standard deviation of that noise."""
    num_mels: Count = 80
    """Mel bands that labels are made of."""
    stack: Count = 4
    """Mel frames, 10 ms apart, of which one label is made."""
    num_codes: Count = 8192
    """Codes, which are the labels."""
    code_width: Count = 16
    """Width of projection and codes."""


class BestRqObjective(MaskedObjective):
    """A fixed quantiser of log mel frames, and a linear layer on the encoder's last state."""

    Config = BestRqConfig
    guards = (
        Guard("perplexity", 1.5, 0, "the labels are nearly all the same: check that the sound is no silence"),
        Guard("prediction_std", 1e-3, 1000, "lower trainer.lr, or lengthen trainer.warmup_steps"),
    )
    band_mean: Tensor
    band_std: Tensor
    fitted: Tensor

    def __init__(self, upstream: Upstream, config: BestRqConfig | None = None) -> None:
        self.config = config = config or BestRqConfig()
        super().__init__(upstream, config)
        self.mels = CentredLogMel(upstream.sample_rate_hz, config.num_mels, eps=_LOG_EPS, slaney=True)
        draw = keyed_generator(config.seed, "quantiser")
        self.quantizer = RandomProjectionQuantizer(
            config.stack * config.num_mels, config.code_width, config.num_codes, draw
        )
        self.register_buffer("band_mean", torch.zeros(config.num_mels))
        self.register_buffer("band_std", torch.ones(config.num_mels))
        self.register_buffer("fitted", torch.tensor(False))
        self.head = nn.Linear(self.width, config.num_codes)
        if config.filler == "noise":
            self.without_embedding()

    def loss(self, batch: Batch) -> Loss:
        """Cross entropy of the labels of masked frames, its mean over them."""
        frames = self.upstream.num_frames(batch.lengths)
        masked = self.masks(batch)
        local = self.encoder.local_features(batch.wavs, batch.lengths)
        if self.config.filler == "noise":
            x = self.encoder.embed(torch.where(masked[..., None], self._noise(batch, masked, local), local))
        else:
            x = self.fill(self.encoder.embed(local), masked)
        states = self.encoder.contextualize(x, frames, self.last)[-1]
        # Only masked frames are told, and only theirs are scored.
        labels, scores = self.labels(batch)[masked], project(self.head, states[masked]).float()
        count = masked.sum().to(scores.dtype)
        total = F.cross_entropy(scores, labels, reduction="sum") / count.clamp(min=1)
        right = (scores.argmax(-1) == labels).float().sum() / count.clamp(min=1)
        spread = scores.detach().std(0, correction=0).mean() if len(scores) else scores.new_zeros(())
        logs = {"masked_accuracy": right, **label_figures(labels, self.config.num_codes), "prediction_std": spread}
        return Loss(total, count, logs)

    @torch.no_grad()
    def labels(self, batch: Batch) -> Tensor:
        """(B, T) int64, at the encoder's frames."""
        mels, frames = self._bands(batch)
        x = (mels - self.band_mean) / self.band_std
        # The mel frames around the middle of each frame of the encoder, the outermost again beyond the ends.
        upstream, stack = self.upstream, self.config.stack
        size = upstream.num_frames(batch.wavs.shape[1])
        middle = (upstream.receptive_field - 1) / 2 - upstream.edge
        step = torch.arange(size, device=x.device, dtype=torch.float64)
        nearest = ((middle + upstream.stride * step) / self.mels.hop).round().long()
        around = nearest[:, None] + torch.arange(stack, device=x.device) - (stack - 1) // 2  # (T, stack)
        index = around.clamp(min=0).minimum((frames - 1)[:, None, None])  # (B, T, stack)
        stacked = x.gather(1, index.flatten(1)[..., None].expand(-1, -1, x.shape[-1]))
        labels: Tensor = self.quantizer(stacked.unflatten(1, (size, stack)).flatten(2))
        return labels

    def _bands(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log mel frames (B, M, bands), float32, and how many of them are real, (B,)."""
        least = self.mels.edge + 1  # samples that can be mirrored, after a shorter item lies silence
        with torch.autocast(batch.wavs.device.type, enabled=False):
            wavs = F.pad(batch.wavs.float(), (0, max(0, least - batch.wavs.shape[1])))
            return self.mels(wavs, batch.lengths.clamp(min=least)), batch.lengths // self.mels.hop + 1

    def _noise(self, batch: Batch, masked: Tensor, local: Tensor) -> Tensor:
        """(B, T, F): noise at masked frames, by the draws of each item."""
        noise, device = torch.zeros_like(local), local.device
        # How many frames each item has masked is asked for once, as each question has a GPU wait.
        rows = [
            torch.randn(count, local.shape[-1], generator=generator_on(device, draw), device=device)
            for count, draw in zip(masked.sum(1).tolist(), self.draws(batch, self.config.seed, "noise"), strict=True)
        ]
        noise[masked] = (self.config.noise_std * torch.cat(rows)).to(noise.dtype)
        return noise

    @property
    def needs_fit(self) -> bool:
        return super().needs_fit or not bool(self.fitted)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Mean and deviation of every band that labels are made of, and of the encoder's input.

        Raises TrainingError for bands that never vary.
        """
        moments = StreamingMoments(self.config.num_mels)
        for batch in islice(batches, _FIT_BATCHES):
            mels, frames = self._bands(batch)
            moments.add(mels[valid_frames(frames, mels.shape[1])])
        deviation = (moments.scatter / max(moments.count, 1)).sqrt()
        if still := (deviation < _LEAST_DEVIATION).nonzero()[:, 0].tolist():
            raise TrainingError(
                f"{len(still)} of {self.config.num_mels} mel bands (the first is number {still[0]}) never vary in the "
                f"training data, so that labels would say nothing of them; check the sound, or build the encoder for "
                f"its bandwidth (upstream_options.sample_rate_hz)."
            )
        self.band_mean.copy_(moments.mean)
        self.band_std.copy_(deviation)
        self.fitted.fill_(True)
        if super().needs_fit:
            super().fit(batches)
