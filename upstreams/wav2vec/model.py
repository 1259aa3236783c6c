"""wav2vec (Schneider et al., 2019, arXiv:1904.05862) and vq-wav2vec (Baevski et al., 2019, arXiv:1910.05453).

    wav -> convolutions -> [quantiser] -> convolutions that see the past alone

Hidden states are the output of the first convolutions, what the quantiser makes of it where there is one, and the
output of each causal convolution. Every convolution is followed by a norm over its channels and all frames of the item.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, ShareBelowOne, check_ranges
from audiossl.core.types import Features
from audiossl.encoders.upstream import Upstream
from audiossl.nn.conv_stem import stride_and_receptive_field
from audiossl.nn.convolution import convolve
from audiossl.nn.group_norm import MaskedGroupNorm
from audiossl.nn.kmeans_quantizer import KMeansQuantizer
from audiossl.nn.masking import valid_frames
from audiossl.nn.quantizer import GumbelQuantizer, Quantized


@dataclass(frozen=True)
class Wav2VecConfig:
    """Defaults: the large model of wav2vec. Those of vq-wav2vec are in its cards."""

    conv_widths: tuple[Count, ...] = (512,) * 7
    """Channels of each of the first convolutions."""
    conv_kernels: tuple[Count, ...] = (10, 8, 4, 4, 4, 1, 1)
    """Taps of each of them."""
    conv_strides: tuple[Count, ...] = (5, 4, 2, 2, 2, 1, 1)
    """Stride of each of them."""
    log_compression: bool = True
    """Whether their output x becomes log(|x| + 1)."""
    activation: Literal["relu", "gelu"] = "relu"
    """After each norm, and in front of the quantiser's logits."""
    quantizer: Literal["none", "gumbel", "kmeans"] = "none"
    """How the output is quantised: not at all, by a Gumbel softmax, or to the nearest entry."""
    groups: Count = 2
    """Codebooks, of which each quantised vector has an entry."""
    codes: Count = 320
    """Entries of each codebook."""
    code_width: Count = 512
    """Channels of a quantised vector, all groups together."""
    shared_codes: bool = True
    """Whether all groups have one codebook in common."""
    logits_width: CountOrZero = 1024
    """Units of a layer before the logits of a Gumbel softmax, 0 for none."""
    commitment: NonNegative = 0.25
    """Weight, in the loss of the nearest entries, of the pull towards them."""
    aggregator_kernels: tuple[Count, ...] = tuple(range(2, 14))
    """Taps of each causal convolution."""
    width: Count = 512
    """Channels of each of them."""
    aggregator_bias: bool = True
    """Whether they have a bias."""
    past: Literal["first", "zeros"] = "first"
    """What stands for frames before the beginning: the first frame, or zeros."""
    skip_connections: bool = True
    """Whether the input of a causal convolution is added to its output."""
    residual_scale: NonNegative = 0.5
    """The square of what that sum is multiplied by."""
    sample_rate_hz: Count = 16000
    """Sampling rate of the waveform in Hz."""
    padding: Literal["exact", "legacy"] = "exact"
    """A batch equals its items, or its norms count the padding, as in the original code."""
    dropout: ShareBelowOne = 0.0
    """Share of the output of a causal convolution that is dropped in training."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not len(self.conv_widths) == len(self.conv_kernels) == len(self.conv_strides) > 0:
            raise ConfigError("conv_widths, conv_kernels and conv_strides need one entry for each convolution.")
        if not self.aggregator_kernels:
            raise ConfigError("aggregator_kernels is empty; give the taps of each causal convolution.")
        if self.quantizer == "kmeans" and self.code_width != self.conv_widths[-1]:
            raise ConfigError(
                f"quantizer=kmeans rounds what it is given, so code_width must be {self.conv_widths[-1]}, the last of "
                f"conv_widths, not {self.code_width}."
            )


class Stem(nn.Module):
    """Convolution, norm, activation, for each layer."""

    def __init__(self, config: Wav2VecConfig) -> None:
        super().__init__()
        self.config = config
        inputs = (1, *config.conv_widths[:-1])
        shapes = zip(inputs, config.conv_widths, config.conv_kernels, config.conv_strides, strict=True)
        self.convs = nn.ModuleList(nn.Conv1d(i, o, k, s, bias=False) for i, o, k, s in shapes)
        self.norms = nn.ModuleList(MaskedGroupNorm(1, width) for width in config.conv_widths)

    def forward(self, wavs: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, S) -> (B, C, T). lengths (B,) are real samples, None where all count."""
        x = wavs[:, None]
        for conv, norm, kernel, stride in zip(
            self.convs, self.norms, self.config.conv_kernels, self.config.conv_strides, strict=True
        ):
            x = convolve(x, cast(nn.Conv1d, conv).weight, stride=stride)
            if lengths is not None:
                lengths = (lengths - kernel) // stride + 1
            x = activate(norm(x, None if lengths is None else valid_frames(lengths, x.shape[2])), self.config)
        return (x.abs() + 1).log() if self.config.log_compression else x


class AggregatorLayer(nn.Module):
    """A convolution over a frame and those before it, a norm and an activation, beside a shortcut.

    number: which of the layers it is, from 0.
    inputs: channels of what it reads.
    """

    def __init__(self, config: Wav2VecConfig, number: int, inputs: int) -> None:
        super().__init__()
        self.config, self.past = config, config.aggregator_kernels[number] - 1
        kernel, bias = config.aggregator_kernels[number], config.aggregator_bias
        self.conv = nn.Conv1d(inputs, config.width, kernel, bias=bias)
        self.norm = MaskedGroupNorm(1, config.width)
        self.shortcut: nn.Module | None = None
        if config.skip_connections and inputs != config.width:
            self.shortcut = nn.Conv1d(inputs, config.width, 1, bias=False)

    def forward(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, I, T) -> (B, D, T), and what was added to the shortcut. valid (B, T) as for `MaskedGroupNorm`."""
        padded = F.pad(x, (self.past, 0), mode="replicate") if self.config.past == "first" else F.pad(x, (self.past, 0))
        made = F.dropout(convolve(padded, self.conv.weight, self.conv.bias), self.config.dropout, self.training)
        made = activate(self.norm(made, valid), self.config)
        if not self.config.skip_connections:
            return made, made
        kept = x if self.shortcut is None else self.shortcut(x)
        return (made + kept) * math.sqrt(self.config.residual_scale), made


class Wav2Vec(Upstream):
    """The encoder. Its `blocks` are the causal convolutions.

    It offers what an objective of frames asks for (`audiossl.encoders.frame_encoder`), and that its context is causal.
    quantized_layer: the number of the hidden state that is quantised. None without a quantiser.
    """

    Config = Wav2VecConfig
    is_causal: ClassVar[bool] = True

    def __init__(self, config: Wav2VecConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or Wav2VecConfig()
        self.sample_rate_hz = config.sample_rate_hz
        self.stride, self.receptive_field = stride_and_receptive_field(config.conv_kernels, config.conv_strides)
        self.num_features = config.conv_widths[-1]
        self.quantized_layer = None if config.quantizer == "none" else 1
        inputs = self.num_features if config.quantizer == "none" else config.code_width
        quantized = () if config.quantizer == "none" else (config.code_width,)
        self.widths = (self.num_features, *quantized, *(config.width,) * len(config.aggregator_kernels))
        self.stem = Stem(config)
        self.quantizer = _quantizer(config)
        self.blocks = nn.ModuleList(
            AggregatorLayer(config, number, config.width if number else inputs)
            for number in range(len(config.aggregator_kernels))
        )

    @property
    def training_only(self) -> tuple[str, ...]:  # type: ignore[override]
        """The entries that vectors are rounded to, which a loss of their own trains."""
        return ("quantizer.entries",) if self.config.quantizer == "kmeans" else ()

    def forward(self, wavs: Tensor, lengths: Tensor | None = None, *, up_to_layer: int | None = None) -> Features:
        """As `Upstream.forward`, but not `exact` with padding='legacy'."""
        features = super().forward(wavs, lengths, up_to_layer=up_to_layer)
        return Features(features.layers, features.lengths, exact=self.config.padding == "exact")

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        return self.contextualize(self.local_features(wavs, lengths), self.num_frames(lengths), last)

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> Sequence[Tensor]:
        return self._states(self._features(wavs, None), None, last)

    def local_features(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """The output of the first convolutions (B, T, F)."""
        return self._features(wavs, lengths if self.config.padding == "exact" else None)

    def _features(self, wavs: Tensor, lengths: Tensor | None) -> Tensor:
        x: Tensor = self.stem(wavs.to(next(self.stem.parameters()).dtype), lengths)
        return x.transpose(1, 2)

    def embed(self, x: Tensor) -> Tensor:
        """The local features as they are: what quantises them belongs to their context."""
        return x

    def contextualize(
        self, x: Tensor, frames: Tensor, last: int, *, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """Local features (B, T, F) -> hidden states 0 to `last`, each (B, T, D_l).

        x: as `local_features` gives them.
        frames: (B,) real frames.
        last: the last state to compute.
        ffn_outputs: where to append what each causal convolution adds to its shortcut.
        """
        return self._states(x, self._valid(frames, x.shape[1]), last, ffn_outputs)

    def quantize(
        self, x: Tensor, frames: Tensor | None, temperature: float = 1.0, noise: Tensor | None = None
    ) -> Quantized:
        """Local features (B, T, F) as codes. Raises ConfigError without a quantiser.

        x: as `local_features` gives them.
        frames: (B,) real frames, None where all are.
        temperature: of the Gumbel softmax.
        noise: (B, T, G, V), its Gumbel noise. None for the most probable codes.
        """
        return self._quantize(x, None if frames is None else self._valid(frames, x.shape[1]), temperature, noise)

    def aggregate(self, x: Tensor, frames: Tensor) -> Tensor:
        """What the causal convolutions read (B, T, D) -> the last hidden state (B, T, D)."""
        return self._aggregate(x, self._valid(frames, x.shape[1]), len(self.blocks))[-1]

    def _valid(self, frames: Tensor, size: int) -> Tensor | None:
        """(B, T) bool, the frames that norms count. None for all."""
        return valid_frames(frames, size) if self.config.padding == "exact" else None

    def _states(
        self, x: Tensor, valid: Tensor | None, last: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        states = [x]
        if self.quantized_layer is not None and last >= self.quantized_layer:
            states.append(self._quantize(x, valid).vectors.to(x.dtype))
        return [*states, *self._aggregate(states[-1], valid, last - len(states) + 1, ffn_outputs)]

    def _quantize(
        self, x: Tensor, valid: Tensor | None, temperature: float = 1.0, noise: Tensor | None = None
    ) -> Quantized:
        if isinstance(self.quantizer, KMeansQuantizer):
            rounded: Quantized = self.quantizer(x, valid)
            return rounded
        if self.quantizer is None:
            raise ConfigError(f"{self.display_name} has no quantiser; choose quantizer=gumbel or kmeans.")
        chosen: Quantized = self.quantizer(x, temperature, noise)
        return chosen

    def _aggregate(
        self, x: Tensor, valid: Tensor | None, number: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """The states (B, T, D) after each of the first `number` causal convolutions."""
        x = x.transpose(1, 2)
        states = []
        for block in self.blocks[: max(number, 0)]:
            x, added = block(x, valid)
            states.append(x.transpose(1, 2))
            if ffn_outputs is not None:
                ffn_outputs.append(added.transpose(1, 2))
        return states


def activate(x: Tensor, config: Wav2VecConfig) -> Tensor:
    """x of any shape, by the activation that a configuration names."""
    return F.relu(x) if config.activation == "relu" else F.gelu(x)


def _quantizer(config: Wav2VecConfig) -> GumbelQuantizer | KMeansQuantizer | None:
    if config.quantizer == "none":
        return None
    shape, shared = (config.groups, config.codes, config.code_width), config.shared_codes
    if config.quantizer == "kmeans":
        return KMeansQuantizer(*shape, shared=shared, commitment=config.commitment)
    between = nn.ReLU() if config.activation == "relu" else nn.GELU()
    return GumbelQuantizer(
        config.conv_widths[-1], *shape, shared=shared, hidden=config.logits_width, activation=between
    )
