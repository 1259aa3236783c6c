"""BERT on discrete or continuous speech (Baevski, Auli and Mohamed, 2019, arXiv:1911.03912).

    wav -> another encoder, which stays as it is -> units, embedded, or frames, normalised and projected
        -> + position convolution -> norm -> blocks

Hidden states are those of the Transformer, num_layers + 1: the input of each block and the output of the last. It is
pre-trained by telling masked units (`masked_units`) or masked frames (`masked_contrast`), and fine-tuned as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Depth, NonNegative, Seed, ShareBelowOne, check_ranges
from audiossl.encoders.frozen_part import STEM
from audiossl.encoders.layers import last_layer
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.units.quantizer import Units
from audiossl.nn.kmeans import nearest_centre
from audiossl.nn.masking import valid_frames
from audiossl.nn.position import PositionConv
from audiossl.nn.transformer import Block, Chosen
from audiossl.nn.varlen import suits


@dataclass(frozen=True)
class BertConfig:
    """Defaults: base size, on log mel frames. Everything from `dropout` on is for training alone."""

    units: str = ""
    """Folder of fitted units, whose encoder and layer are taken with them. It is read once: what it says then lies in
    the fields below and in the weights. Empty for none."""
    encoder: str = "log_mel"
    """What makes the frames: any name or path that `load_upstream` takes. What a checkpoint says here must be a
    registered name."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Fields of that encoder's configuration."""
    layer: int = -1
    """Its hidden state that is the input. Negative numbers count from the end."""
    num_units: CountOrZero = 0
    """Number of units into which frames are turned. 0 for frames as they are."""
    width: Count = 768
    """Channels of a hidden state."""
    num_layers: Depth = 12
    """Transformer blocks."""
    num_heads: Count = 12
    """Attention heads of each block."""
    ffn_width: Count = 3072
    """Hidden units of each block's feed-forward part."""
    position_kernel: Count = 128
    """Frames that the position convolution sees."""
    position_groups: Count = 16
    """Groups of channels that it keeps apart."""
    norm_eps: NonNegative = 1e-5
    """Added to the variance in all norms."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """Weights of the encoder of frames, filled in with what this one itself is loaded with."""
    seed: Seed = 0
    """Seed of random weights, filled in with what this one itself is loaded with."""
    dropout: ShareBelowOne = 0.1
    """Share of the numbers dropped after each part of a block."""
    attention_dropout: ShareBelowOne = 0.1
    """Share of the attention weights dropped."""
    feature_dropout: ShareBelowOne = 0.1
    """Share of the embedded input dropped."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % self.num_heads or self.width % self.position_groups:
            raise ConfigError(
                f"width={self.width} must be a multiple of num_heads={self.num_heads} and of "
                f"position_groups={self.position_groups}."
            )


class Bert(Upstream):
    """The encoder. Its `stem` is the other one, which never trains and is saved with it.

    It offers what an objective of frames asks for (`audiossl.encoders.frame_encoder`). Of units, the local feature is
    the unit's number.
    """

    Config = BertConfig
    loads_encoder: ClassVar[bool] = True
    divides_at_stem: ClassVar[bool] = True
    masks_input: ClassVar[bool] = False
    centres: Tensor

    def __init__(self, config: BertConfig | None = None) -> None:
        super().__init__()
        config, stem, centres = _input_of(config or BertConfig())
        self.config = config
        self.stem = stem.eval().requires_grad_(False)
        self.sample_rate_hz, self.stride, self.edge = stem.sample_rate_hz, stem.stride, stem.edge
        self.receptive_field, self.max_samples = stem.receptive_field, stem.max_samples
        self.widths = (config.width,) * (config.num_layers + 1)
        self.num_features = 1 if config.num_units else stem.widths[config.layer]
        if config.num_units:
            self.register_buffer("centres", centres)
            self.embedding = nn.Embedding(config.num_units, config.width)
        else:
            self.feature_norm = nn.LayerNorm(self.num_features, config.norm_eps)
            self.project = nn.Linear(self.num_features, config.width)
        self.mask_embedding = nn.Parameter(torch.empty(config.width).uniform_())
        self.position = PositionConv(config.width, config.position_kernel, config.position_groups)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.num_layers))

    @property
    def training_only(self) -> tuple[str, ...]:  # type: ignore[override]
        """The mask embedding, and what never trains."""
        return ("mask_embedding", *(f"stem.{name}" for name, _ in self.stem.named_parameters()))

    @property
    def num_units(self) -> int:
        """Kinds of units in the input, 0 where it is frames."""
        return int(self.config.num_units)

    @property
    def min_samples(self) -> int:
        return self.stem.min_samples

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames of the encoder below, exactly."""
        return self.stem.num_frames(num_samples)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        super().requires_grad_(requires_grad)
        self.stem.requires_grad_(False)
        return self

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.stem.eval()
        return self

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        return self.contextualize(self.embed(self.local_features(wavs, lengths)), self.num_frames(lengths), last)

    @torch.no_grad()
    def local_features(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Frames of the encoder below (B, T, F), or the numbers of their units (B, T, 1), as floats."""
        x = self.stem.encode(wavs, lengths, self.config.layer)[self.config.layer]
        return nearest_centre(x, self.centres)[..., None].float() if self.num_units else x

    def embed(self, x: Tensor) -> Tensor:
        """Local features (..., F) -> input of the Transformer (..., D)."""
        made = self.embedding(x[..., 0].long()) if self.num_units else self.project(self.feature_norm(x))
        return F.dropout(made, self.config.feature_dropout, self.training)

    def contextualize(
        self,
        x: Tensor,
        frames: Tensor,
        last: int,
        *,
        kept: Tensor | None = None,
        ffn_outputs: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """From embedded frames to hidden states 0 to `last`, each (B, T, D).

        x: (B, T, D), as `embed` gives them.
        frames: (B,), how many of them are real.
        last: the last state that is needed.
        kept: bool (B, T), the frames that go through the blocks. None for all real ones.
        ffn_outputs: a list that each block's feed-forward output (B, T, D) is appended to.
        """
        valid = valid_frames(frames, x.shape[1])
        x = torch.where(valid[..., None], x, x.new_zeros(()))
        x = F.dropout(self.norm(x + self.position(x, valid)), self.config.dropout, self.training)
        return self._states(x, valid if kept is None else valid & kept, 0, last, ffn_outputs)

    def begin(self, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        """As `Divisible.begin`."""
        if point == STEM:
            return [self.local_features(wavs, lengths)]
        states = list(self.encode(wavs, lengths, point))
        return [*states, states[-1]]

    def go_on(self, carried: Tensor, frames: Tensor, point: int, last: int) -> list[Tensor]:
        """Hidden states `point` to `last`, each (B, T, D).

        carried, frames, point, last: as for `Divisible.go_on`.
        """
        x = carried.to(self.norm.weight.dtype)
        if point == STEM:
            return self.contextualize(self.embed(x), frames, last)
        return self._states(x, valid_frames(frames, x.shape[1]), point, last)

    def _states(
        self, x: Tensor, kept: Tensor, first: int, last: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """Hidden states `first` to `last` of the first (B, T, D), of the frames `kept` (B, T)."""
        on_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
        chosen = Chosen(kept, packed=on_cpu or suits(x, self.config.num_heads))
        inner: list[Tensor] | None = None if ffn_outputs is None else []
        states = [chosen.take(x)]
        for block in self.blocks[first:last]:
            states.append(block(states[-1], chosen.layout, ffn_outputs=inner))
        if ffn_outputs is not None:
            ffn_outputs += map(chosen.put_back, inner or [])
        return [chosen.put_back(state) for state in states]


def _input_of(config: BertConfig) -> tuple[BertConfig, Upstream, Tensor]:
    """The configuration without a folder, the encoder that it names, and centres (K, F): zeros until they are loaded
    where no folder was given."""
    if config.units:
        units = Units.load(Path(config.units))
        stem, card = units.load_encoder(), units.card
        said: dict[str, Any] = {
            "encoder": card.upstream,
            "encoder_options": dict(card.upstream_options),
            "layer": card.layer,
        }
        return replace(config, units="", num_units=len(units), **said), stem, units.centres.clone()
    how: dict[str, Any] = {"weights": config.weights, "seed": config.seed, **config.encoder_options}
    stem = load_upstream(config.encoder, **how)
    layer = last_layer(config.layer + (stem.num_layers if config.layer < 0 else 0), stem.num_layers)
    draw = torch.Generator().manual_seed(config.seed)
    centres = torch.randn(config.num_units, stem.widths[layer], generator=draw)
    return replace(config, layer=layer), stem, centres


def _block(config: BertConfig) -> Block:
    return Block(
        config.width,
        config.num_heads,
        config.ffn_width,
        pre_norm=False,
        eps=config.norm_eps,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )
