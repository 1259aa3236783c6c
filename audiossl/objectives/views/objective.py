"""Two views of each utterance are told from those of all others of the batch (SimCLR, arXiv:2002.05709).

A view is a crop, heard in another room, through another channel and in noise. Of utterances that are long enough, one
crop lies in each half, so that both share the voice or the kind of sound, but no words. What is compared is the mean
of a layer over time, behind a projection if wanted. Without one, the layer is itself what a linear head on means reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from audiossl.core.ranges import CountOrZero, NonNegative, Positive, Seed
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.augmentations import Augmentation, AugmentationConfig
from audiossl.nn.crops import crops_at
from audiossl.nn.pooling import MeanPooling
from audiossl.objectives.tera.views import contrastive_loss
from audiossl.training.objective import Objective


@dataclass(frozen=True)
class ViewsConfig:
    """How views are made and compared."""

    view_s: Positive = 2.0
    """Seconds of a view. An utterance that is shorter is seen whole twice."""
    apart_s: NonNegative = 2.0
    """Utterances of at least this many seconds have one view in each half, of at most a half."""
    layer: int = -1
    """The layer whose mean over time is compared. Negative numbers count from the end."""
    projection_width: CountOrZero = 0
    """Width of a projection (two layers) between mean and comparison. 0 for none."""
    temperature: Positive = 0.1
    """Temperature of the softmax over utterances."""
    augment: AugmentationConfig = field(
        default_factory=lambda: AugmentationConfig(reverb=0.3, channel=0.8, noise=0.5, snr_db=(5.0, 30.0), gain_db=6.0)
    )
    """How the sound of each view is changed."""
    seed: Seed = 0
    """Seed of all draws."""


class ViewsObjective(Objective):
    """InfoNCE between utterances. Rows of one recording are not told apart."""

    Config = ViewsConfig

    def __init__(self, upstream: Upstream, config: ViewsConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config = config or ViewsConfig()
        self.layer = range(upstream.num_layers)[config.layer]
        self.pooling, width = MeanPooling(upstream.widths[self.layer]), upstream.widths[self.layer]
        self.head: nn.Module = nn.Identity()
        if config.projection_width:
            self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.projection_width))
        self.augmentation = Augmentation(config.augment, upstream.sample_rate_hz)

    @property
    def item_wise(self) -> bool:
        return False

    @property
    def may_skip_parameters(self) -> bool:
        return bool(self.upstream.training_only) or self.layer < self.upstream.num_layers - 1

    def loss(self, batch: Batch) -> Loss:
        """The mean over views, which is 0 for a single utterance."""
        first, second = (self._view(batch, half) for half in (0, 1))
        wavs, lengths = torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]])
        features = self.upstream(wavs, lengths, up_to_layer=self.layer)
        means = self.pooling(features.layers[self.layer].float(), features.lengths)
        if self.config.projection_width:
            means = self.head(means)
        names = [cut.id for cut in batch.cuts] or None
        return Loss(contrastive_loss(means, self.config.temperature, names), means.new_tensor(len(batch)))

    def _view(self, batch: Batch, half: int) -> tuple[Tensor, Tensor]:
        """One changed crop of each item, wavs (B, S) and lengths (B,). half: 0 or 1, of those that are cut in two."""
        config, rate, least = self.config, self.upstream.sample_rate_hz, self.upstream.min_samples
        longest = max(round(config.view_s * rate), least)
        halves = torch.div(batch.lengths, 2, rounding_mode="floor")
        parted = (batch.lengths >= config.apart_s * rate) & (halves >= least) & (config.apart_s > 0)
        room = torch.where(parted, halves, batch.lengths)
        lengths = room.clamp(max=longest)
        draws = self.draws(batch, config.seed, "view", half)
        places = torch.stack([torch.rand((), generator=draw) for draw in draws]).to(lengths.device)
        first = (places * (room - lengths + 1)).long() + torch.where(parted, half * halves, 0)
        wavs = crops_at(batch.wavs, first, lengths, min(longest, batch.wavs.shape[1]))
        return self.augmentation(wavs, lengths, draws), lengths
