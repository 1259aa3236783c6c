"""What wav2vec 2.0, HuBERT, WavLM, data2vec and their kin share: a convolutional stem and a Transformer.

    wav -> [waveform normalisation] -> ConvStem -> [norm] -> projection -> + position convolution -> [norm] -> blocks

Base style: GroupNorm stem, blocks normalised after each part. Large style: LayerNorm stem, blocks normalised before.
Hidden states are L + 1: the input of each block and the encoder's output, with the final norm of the large style.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Depth, NonNegative, Share, ShareBelowOne, check_ranges
from audiossl.core.types import Features
from audiossl.encoders.upstream import Upstream
from audiossl.nn.conv_stem import ConvStem, stride_and_receptive_field
from audiossl.nn.masking import valid_frames
from audiossl.nn.position import BatchNormPositionConv, PositionConv, StackedPositionConv
from audiossl.nn.running_moments import sum_windows
from audiossl.nn.span_masks import span_mask
from audiossl.nn.transformer import Block, Chosen, Packed, Padded
from audiossl.nn.varlen import suits

NORMALIZE_EPS = {"layer_norm": 1e-5, "huggingface": 1e-7}


@dataclass(frozen=True)
class WaveformConfig:
    """Defaults: the base style, as published for wav2vec 2.0 base.

    Base and large style differ in `conv_norm`, `pre_norm` and `normalize` together. Everything from `dropout` on is for
    training alone.
    """

    conv_widths: tuple[Count, ...] = (512,) * 7
    """Channels of each convolution of the stem."""
    conv_kernels: tuple[Count, ...] = (10, 3, 3, 3, 3, 2, 2)
    """Taps of each convolution of the stem."""
    conv_strides: tuple[Count, ...] = (5, 2, 2, 2, 2, 2, 2)
    """Stride of each convolution of the stem."""
    conv_norm: Literal["group", "layer"] = "group"
    """Norm in the stem: 'group' over time in the first layer (base) or 'layer' over channels in every layer (large)."""
    conv_bias: bool = False
    """Whether the stem's convolutions have a bias."""
    feature_norm: bool = True
    """Whether the stem's output is layer-normalised before the projection."""
    projection: bool = True
    """Whether a linear layer leads from the stem's width to that of the Transformer."""
    width: Count = 768
    """Channels of a hidden state."""
    num_layers: Depth = 12
    """Transformer blocks."""
    num_heads: Count = 12
    """Attention heads of each block."""
    ffn_width: Count = 3072
    """Hidden units of each block's feed-forward part."""
    pre_norm: bool = False
    """Whether each part of a block is normalised before it (large) or after it (base)."""
    norm_eps: NonNegative = 1e-5
    """Added to the variance in the Transformer's norms (the stem's have 1e-5 everywhere)."""
    position_kernel: Count = 128
    """Frames that the position convolution sees, all `position_depth` of them together."""
    position_groups: Count = 16
    """Groups of channels that the position convolution keeps apart."""
    position_depth: Depth = 1
    """How many position convolutions follow each other, with position_norm='layer'."""
    position_norm: Literal["weight", "batch", "layer"] = "weight"
    """How the position convolution is normalised: by its weights, by a batch norm before it, or layer norms between."""
    adapter_width: CountOrZero = 0
    """Bottleneck of an adapter after each block, 0 for no adapters."""
    mask_embedding: bool = True
    """Whether the weights hold a learnt embedding for masked frames."""
    sample_rate_hz: Count = 16000
    """Sampling rate of the waveform in Hz."""
    normalize: Literal["none", "layer_norm", "huggingface"] = "none"
    """Waveform as it is, normalised as in the training of the large style, or as Hugging Face does (eps 1e-7)."""
    final_norm: bool = True
    """Whether the large style's last state is taken after the final norm (s3prl) or before it (transformers 5)."""
    padding: Literal["exact", "legacy", "legacy_hf", "legacy_hf_unmasked"] = "exact"
    """A batch equals its items, or is padded as by the original code, transformers with a mask, or without one."""
    dropout: ShareBelowOne = 0.1
    """Share of the numbers dropped after each part of a block."""
    attention_dropout: ShareBelowOne = 0.1
    """Share of the attention weights dropped."""
    activation_dropout: ShareBelowOne = 0.0
    """Share of the feed-forward part's hidden units dropped."""
    feature_dropout: ShareBelowOne = 0.1
    """Share of the projected features dropped."""
    layer_drop: Share = 0.05
    """Chance that a block is skipped in a training step."""
    mask_time_prob: Share = 0.0
    """Share of the frames that masked spans would cover if none overlapped, 0 to mask none."""
    mask_time_length: Count = 10
    """Frames of a masked span."""
    mask_feature_prob: Share = 0.0
    """Share of the channels that masked spans would cover if none overlapped, 0 to mask none."""
    mask_feature_length: Count = 64
    """Channels of a masked span."""
    gradient_checkpointing: bool = False
    """Whether blocks are computed again in the backward pass, which saves memory and costs time."""

    def __post_init__(self) -> None:
        check_ranges(self)  # before anything is divided by them
        if not len(self.conv_widths) == len(self.conv_kernels) == len(self.conv_strides) > 0:
            raise ConfigError("conv_widths, conv_kernels and conv_strides need one entry for each convolution.")
        if self.width % self.num_heads or self.width % self.position_groups:
            raise ConfigError(
                f"width={self.width} must be a multiple of num_heads={self.num_heads} and of "
                f"position_groups={self.position_groups}."
            )
        if not self.projection and self.width != self.conv_widths[-1]:
            raise ConfigError(f"projection=false needs width={self.conv_widths[-1]}, the stem's, not {self.width}.")


class WaveformEncoder(Upstream):
    """The shared encoder, which a family subclasses with its name and what differs.

    original_mask: what the family's original code takes for a real frame of a padded batch. 'formula': one that the
    stem's length formula counts. 'any_sample': one with at least one real sample in its stretch.
    in_transformers: the family's model_type and class there, None for a family that transformers does not have.
    layout: 'packed' (no padding is computed), 'padded' (masked) or 'auto': packed on a CPU, elsewhere padded
    up to the blocks, which are packed where one call attends within all items. Results are the same.
    """

    Config = WaveformConfig
    block: ClassVar[type[Block]] = Block
    original_mask: ClassVar[Literal["formula", "any_sample"]] = "formula"
    in_transformers: ClassVar[tuple[str, str] | None] = None
    training_only: ClassVar[tuple[str, ...]] = ("mask_embedding",)
    layout: Literal["auto", "packed", "padded"] = "auto"
    config: Any

    def __init__(self, config: WaveformConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or self.Config()
        self.sample_rate_hz = config.sample_rate_hz
        self.stride, self.receptive_field = stride_and_receptive_field(config.conv_kernels, config.conv_strides)
        self.widths = (config.width,) * (config.num_layers + 1)
        stem_width, eps = config.conv_widths[-1], config.norm_eps
        self.stem = ConvStem(
            config.conv_widths, config.conv_kernels, config.conv_strides, config.conv_norm, config.conv_bias
        )
        self.feature_norm = nn.LayerNorm(stem_width, eps) if config.feature_norm else nn.Identity()
        self.project = nn.Linear(stem_width, config.width) if config.projection else nn.Identity()
        if config.mask_embedding:
            self.mask_embedding = nn.Parameter(torch.empty(config.width).uniform_())
        self.position = _position(config)
        self.norm = nn.LayerNorm(config.width, eps)
        self.blocks = nn.ModuleList(self._block() for _ in range(config.num_layers))

    def _block(self) -> Block:
        config = self.config
        return self.block(
            config.width,
            config.num_heads,
            config.ffn_width,
            pre_norm=config.pre_norm,
            eps=config.norm_eps,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            activation_dropout=config.activation_dropout,
            adapter_width=config.adapter_width,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.norm.weight.dtype

    def forward(self, wavs: Tensor, lengths: Tensor | None = None, *, up_to_layer: int | None = None) -> Features:
        """As `Upstream.forward`, but not `exact` in the legacy modes."""
        features = super().forward(wavs, lengths, up_to_layer=up_to_layer)
        return Features(features.layers, features.lengths, exact=self.config.padding == "exact")

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        wavs = self.normalized(wavs, lengths)
        if self.config.padding != "exact":
            return self._encode_as_others(wavs, lengths, last)
        return (self._encode_packed if self._is_packed(wavs.device) else self._encode_padded)(wavs, lengths, last)

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> list[Tensor]:
        moments = None
        if statistics:
            offset, scale, *own = statistics
            wavs, moments = ((wavs - offset) * scale).to(self.dtype), (own[0], own[1]) if own else None
        else:
            wavs = self.normalized(wavs, torch.full((wavs.shape[0],), wavs.shape[1], device=wavs.device))
        if wavs.device.type == "cpu" and not torch.compiler.is_compiling():
            x = torch.stack(self.stem.rows(list(wavs), moments))
        else:  # a graph is better off with plain convolutions
            x = self.stem(wavs, None, moments)
        x = self.embed(x)
        x = x + self.position(x)
        return self._contextualize(x, Padded(x.shape[1]), last)

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Offset and scale () of the waveform, and with a GroupNorm mean and variance (C,) of the first convolution."""
        stem, kind = self.stem, self.config.normalize
        sums = sum_windows(blocks, stem.kernels[0], stem.strides[0])
        offset, variance = sums.of_samples()
        if kind == "none":
            offset, scale = torch.zeros_like(offset), torch.ones_like(offset)
        else:
            scale = torch.rsqrt(variance + NORMALIZE_EPS[kind])
        found = [offset, scale]
        if stem.norm == "group":
            found += sums.of_convolution(cast(nn.Conv1d, stem.convs[0]), offset, scale)
        return tuple(value.float().to(self.norm.weight.device) for value in found)

    def normalized(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Each item at zero mean and unit variance over its own samples, where the model was trained so."""
        kind = self.config.normalize
        if kind == "none":
            return wavs.to(self.dtype)
        inside = valid_frames(lengths, wavs.shape[1])
        count = lengths[:, None]
        centred = torch.where(inside, wavs - wavs.sum(1, keepdim=True) / count, 0.0)
        variance = centred.square().sum(1, keepdim=True) / count
        return (centred * torch.rsqrt(variance + NORMALIZE_EPS[kind])).to(self.dtype)

    def _encode_packed(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        """Items one by one through the convolutions, then the real frames of all together, without padding."""
        stems = self._stem_rows(wavs, lengths)
        layout = Packed.of(self.num_frames(lengths))
        x = self.embed(torch.cat(stems))
        if self.training:
            x = masked_for_training(self, layout.spread(x, layout.longest), self.num_frames(lengths))
            x = torch.cat([row[:n] for row, n in zip(x, layout.lengths, strict=True)])
        x = torch.cat([part + self.position(part[None])[0] for part in x.split(layout.lengths)])
        frames = self.num_frames(wavs.shape[1])
        return [layout.spread(state, frames) for state in self._contextualize(x, layout, last)]

    def _encode_padded(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        """All items at once through the convolutions, masked wherever a layer looks across frames."""
        even = bool((lengths == wavs.shape[1]).all())
        x = self.embed(self.stem(wavs, None if even else lengths))
        frames = self.num_frames(lengths)
        valid = None if even else valid_frames(frames, x.shape[1])
        if self.training:
            x = masked_for_training(self, x, frames)
        if valid is not None:
            x = torch.where(valid[..., None], x, x.new_zeros(()))
        x = x + self.position(x, valid)
        if valid is not None and self._packs_blocks(x):
            return self._only(x, valid, last)
        return self._contextualize(x, Padded(x.shape[1], valid), last)

    def _encode_as_others(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        """As the original code or transformers treat a padded batch: GroupNorm statistics include the padding."""
        x = self.embed(self.stem(wavs))
        valid = self._valid_as_others(wavs.shape[1], lengths, x.shape[1])
        if valid is not None:
            x = torch.where(valid[..., None], x, x.new_zeros(()))
        x = x + self.position(x)
        return self._contextualize(x, Padded(x.shape[1], valid), last)

    def _valid_as_others(self, samples: int, lengths: Tensor, frames: int) -> Tensor | None:
        if self.config.padding == "legacy_hf_unmasked":
            return None
        if self.config.padding == "legacy" and self.original_mask == "any_sample":
            # The sample mask is cut into as many equal stretches as there are frames, a rest dropped.
            inside = valid_frames(lengths, samples)[:, : samples - samples % frames]
            real: Tensor = inside.unflatten(1, (frames, -1)).any(-1)
            return real
        return valid_frames(self.num_frames(lengths), frames)

    @property
    def num_features(self) -> int:
        """C, the channels of the stem's output."""
        return int(self.config.conv_widths[-1])

    def local_features(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """What the stem gives, before any norm: (B, S) -> (B, T, C), zero beyond each item."""
        wavs = self.normalized(wavs, lengths)
        if self._is_packed(wavs.device):
            stems = self._stem_rows(wavs, lengths)
            return Packed([len(frames) for frames in stems]).spread(torch.cat(stems), self.num_frames(wavs.shape[1]))
        even = bool((lengths == wavs.shape[1]).all())
        x: Tensor = self.stem(wavs, None if even else lengths)
        valid = valid_frames(self.num_frames(lengths), x.shape[1])
        return x if even else torch.where(valid[..., None], x, x.new_zeros(()))

    def _stem_rows(self, wavs: Tensor, lengths: Tensor) -> list[Tensor]:
        rows: list[Tensor] = self.stem.rows([wav[:n] for wav, n in zip(wavs, lengths.tolist(), strict=True)])
        return rows

    def embed(self, x: Tensor) -> Tensor:
        """Stem output (..., C) -> Transformer input (..., D): norm, projection and dropout."""
        x = self.project(self.feature_norm(x))
        dropped: Tensor = F.dropout(x, self.config.feature_dropout, self.training)
        return dropped

    def contextualize(
        self,
        x: Tensor,
        frames: Tensor,
        last: int,
        *,
        kept: Tensor | None = None,
        ffn_outputs: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Position codes and blocks: hidden states 0 to `last`, each (B, T, D).

        x: (B, T, D) as `embed` gives them.
        frames: (B,) real frames.
        last: the last state to compute.
        kept: (B, T) bool, the only frames that go through the blocks.
        ffn_outputs: where to append each block's feed-forward output, before it is added to its input.
        Raises ConfigError for `kept` where attention has biases by distance, which would count what is left out.
        """
        valid = valid_frames(frames, x.shape[1])
        x = self._with_positions(x, frames, valid)
        if kept is not None and self.by_distance(1) is not None:
            raise ConfigError(f"{self.display_name} has attention biases by distance and cannot leave frames out.")
        return self._only(x, valid if kept is None else valid & kept, last, ffn_outputs)

    def _with_positions(self, x: Tensor, frames: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, D) plus its position codes, each item by itself."""
        if not self._is_packed(x.device):
            x = torch.where(valid[..., None], x, x.new_zeros(()))
            coded: Tensor = x + self.position(x, valid)
            return coded
        made = [row[:n] + self.position(row[None, :n])[0] for row, n in zip(x, frames.tolist(), strict=True)]
        return Packed(frames.tolist()).spread(torch.cat(made), x.shape[1])

    def _is_packed(self, device: torch.device) -> bool:
        return device.type == "cpu" if self.layout == "auto" else self.layout == "packed"

    def _packs_blocks(self, x: Tensor) -> bool:
        """Whether blocks get the real frames of x (B, T, D) alone."""
        if self.layout != "auto" or x.device.type == "cpu":
            return self._is_packed(x.device)
        return suits(x, self.config.num_heads) and self.by_distance(1) is None

    def _only(self, x: Tensor, kept: Tensor, last: int, ffn_outputs: list[Tensor] | None = None) -> list[Tensor]:
        """Hidden states 0 to `last` of the frames `kept` (B, T) of x (B, T, D), which alone are computed."""
        chosen = Chosen(kept, packed=self._packs_blocks(x))
        inner: list[Tensor] | None = None if ffn_outputs is None else []
        states = self._contextualize(chosen.take(x), chosen.layout, last, inner)
        if ffn_outputs is not None and inner is not None:
            ffn_outputs += map(chosen.put_back, inner)
        return [chosen.put_back(state) for state in states]

    def _contextualize(
        self, x: Tensor, layout: Packed | Padded, last: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """Hidden states 0 to `last` in `layout`."""
        if not self.config.pre_norm:
            x = self.norm(x)
        x = F.dropout(x, self.config.dropout, self.training)
        by_distance = self.by_distance(layout.longest)
        layers = [x]
        for block in self.blocks[:last]:
            # A block that is not trained (`finetune=top_k`) is in eval mode, and never dropped.
            if not (block.training and float(torch.rand(())) < self.config.layer_drop):
                x = self._run(block, x, layout, by_distance, ffn_outputs)
            layers.append(x)
        if self.config.pre_norm and self.config.final_norm and last == self.config.num_layers:
            layers[-1] = self.norm(x)
        return layers

    def _run(self, block: nn.Module, x: Tensor, *shared: Any) -> Tensor:
        again = block.training and self.config.gradient_checkpointing and torch.is_grad_enabled()
        made: Tensor = checkpoint(block, x, *shared, use_reentrant=False) if again else block(x, *shared)
        return made

    def by_distance(self, frames: int) -> Tensor | None:
        """Attention biases by distance for items of up to `frames` frames, shared by all blocks, None without any."""
        return None


def masked_for_training(encoder: WaveformEncoder, x: Tensor, frames: Tensor) -> Tensor:
    """Training masks on x (B, T, D) with (B,) real frames: spans of frames become the mask embedding, of channels 0."""
    config = encoder.config
    if config.mask_time_prob > 0:
        masked = span_mask(frames, x.shape[1], config.mask_time_prob, config.mask_time_length)
        filler = encoder.mask_embedding.to(x.dtype) if config.mask_embedding else x.new_zeros(())
        x = torch.where(masked[..., None], filler, x)
    if config.mask_feature_prob > 0:
        widths = torch.full_like(frames, x.shape[2])
        masked = span_mask(widths, x.shape[2], config.mask_feature_prob, config.mask_feature_length)
        x = x.masked_fill(masked[:, None], 0.0)
    return x


def _position(config: WaveformConfig) -> nn.Module:
    shape = (config.width, config.position_kernel, config.position_groups)
    if config.position_norm == "batch":
        return BatchNormPositionConv(*shape)
    if config.position_norm == "layer":
        return StackedPositionConv(*shape, config.position_depth)
    return PositionConv(*shape)
