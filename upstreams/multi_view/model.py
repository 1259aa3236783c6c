"""A small encoder for each view of a recording (Pairwise-CL, arXiv:2406.07900).

A view is what a frozen encoder makes of the recording: the means over time of all its layers, each dimension brought to
mean 0 and variance 1 by training rows. Two linear layers with a GELU between them make an embedding of it. What the
paper leaves open is said in the README.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.joined_names import joined_name
from audiossl.core.ranges import Count, Seed
from audiossl.core.types import Batch, Features
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.layers import last_layer
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream


@dataclass(frozen=True)
class MultiViewConfig:
    """What the views are, and how large their encoders."""

    members: list[str] = field(default_factory=lambda: ["tera_mini", "log_mel"])
    """The frozen encoders, at least two, by names of `audiossl list upstreams`, paths or references."""
    member_options: dict[str, Any] = field(default_factory=dict)
    """Options of one of them, under its name or its number from 1."""
    width: Count = 128
    """Width of the embedding of a view."""
    hidden: Count = 256
    """Units of the hidden layer of a view's encoder."""
    weights: str = "pretrained"
    """Those of the frozen encoders, or 'random' for a baseline. `load_upstream` fills it in."""
    seed: Seed = 0
    """Seed of random weights. `load_upstream` fills it in."""


class MultiView(Upstream):
    """One layer for each view, its embedding (B, 1, width): a recording has one frame.

    views: the frozen encoders, joined as means over time. They are not to be trained by an objective.
    blocks: the encoders of the views as one block, which `finetune=top_k` with top_k=1 trains and nothing else.
    """

    Config = MultiViewConfig
    loads_encoder = True

    def __init__(self, config: MultiViewConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MultiViewConfig()
        if len(config.members) < 2:
            raise ConfigError(f"members={list(config.members)}: views are compared with each other; name at least two.")
        how: dict[str, Any] = {"weights": config.weights, "seed": config.seed, **config.member_options}
        views = load_upstream(joined_name(config.members, "members"), join="pooled", **how)
        assert isinstance(views, JoinedUpstream)
        self.views = views.requires_grad_(False)
        self.sample_rate_hz, self.stride, self.edge = views.sample_rate_hz, views.stride, views.edge
        self.receptive_field, self.max_samples = views.receptive_field, views.max_samples
        self.widths = (config.width,) * len(views.parts)
        self.sizes = [sum(part.widths) for part in views.parts]
        self.blocks = nn.ModuleList([nn.ModuleList(_encoder(size, config) for size in self.sizes)])
        for number, size in enumerate(self.sizes):
            self.register_buffer(f"mean_{number}", torch.zeros(size))
            self.register_buffer(f"deviation_{number}", torch.ones(size))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def min_samples(self) -> int:
        return self.views.min_samples

    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:  # type: ignore[override]
        return self.views.num_frames(num_samples)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Of the views' encoders alone: what they see stays."""
        self.blocks.requires_grad_(requires_grad)
        return self

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.views.parameters()):
            self.views.eval()
        return self

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        return self.embed(self.seen(self.views.encode(wavs, lengths, self._stop(last))))

    @property
    def reads(self) -> Sequence[str]:  # type: ignore[override]
        """What any view reads."""
        return self.views.reads

    def of_batch(self, batch: Batch, *, up_to_layer: int | None = None) -> Features:
        if not self.reads:
            return super().of_batch(batch, up_to_layer=up_to_layer)
        seen = self.views.of_batch(batch, up_to_layer=self._stop(last_layer(up_to_layer, self.num_layers)))
        return Features(tuple(self.embed(self.seen(seen.layers))), seen.lengths)

    def _stop(self, last: int) -> int:
        """The last layer of all members that the views 0 to `last` see."""
        return [place.member for place in self.views.places].index(last) + self.views.parts[last].num_layers - 1

    def seen(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """What each view sees, (B, 1, D_v): the layers of its member side by side.

        layers: of all members or of the first ones, each (B, 1, D_l).
        """
        found: dict[int, list[Tensor]] = {}
        for place, layer in zip(self.views.places, layers, strict=False):
            found.setdefault(place.member, []).append(layer.float())
        return [torch.cat(parts, dim=-1) for parts in found.values()]

    def embed(self, seen: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings (B, 1, width) of what views see."""
        made = []
        for number, (view, encoder) in enumerate(zip(seen, self.blocks[0], strict=False)):  # type: ignore[call-overload]
            mean, deviation = self.get_buffer(f"mean_{number}"), self.get_buffer(f"deviation_{number}")
            made.append(encoder((view - mean) / deviation))
        return made

    def set_statistics(self, statistics: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Mean and deviation (D_v,) of what each view sees of training rows."""
        for number, (mean, deviation) in enumerate(statistics):
            self.get_buffer(f"mean_{number}").copy_(mean)
            self.get_buffer(f"deviation_{number}").copy_(deviation)
        self.get_buffer("fitted").fill_(True)


def _encoder(size: int, config: MultiViewConfig) -> nn.Module:
    return nn.Sequential(nn.Linear(size, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.width))
