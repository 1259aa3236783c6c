"""The settings of a waveform encoder. No torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Depth, NonNegative, Share, ShareBelowOne, check_ranges


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
