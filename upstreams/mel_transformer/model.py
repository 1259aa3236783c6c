"""A small encoder that is quick on a CPU: log mel frames, two convolutions, a pre-norm Transformer.

    wav -> 80 log mel bands, 100 frames a second -> stacks of 5, every second -> norm -> Conv 3, Conv 3 (stride 2)
        -> + position convolution -> blocks with ALiBi -> norm

A frame's stack holds the five mel frames that its two convolutions see, so that all before the position convolution
works on single frames, and masks and padding need no care there. What lies before and after a recording counts as
silence. Frames are centred on samples 0, 320, 640, ... at 16 kHz, as Whisper's are. Positions are a depthwise
convolution and biases by distance (ALiBi, arXiv:2108.12409), so recordings may be longer than crops in training.
Hidden states: what each block reads, after its norm, then the encoder's normalised output (num_layers + 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, Depth, NonNegative, Positive, ShareBelowOne, check_ranges
from audiossl.encoders.upstream import Upstream
from audiossl.nn.alibi import PackedAlibi, PaddedAlibi, alibi_slopes
from audiossl.nn.convolution import convolve
from audiossl.nn.filterbank import CentredLogMel
from audiossl.nn.masking import valid_frames
from audiossl.nn.transformer import Block, Chosen, Packed

# Mel frames that a frame sees: two convolutions of 3, the second of which has stride 2.
_STACK, _STEP = 5, 2
# Of log mel frames with log_eps=1e-6 of 1.5 hours of read and prompted English, until `set_statistics` knows better.
_USUAL_MEAN, _USUAL_STD = -10.0, 3.0


@dataclass(frozen=True)
class MelTransformerConfig:
    """Defaults: 3.4 million parameters. Everything from `dropout` on is for training alone."""

    num_mels: Count = 80
    """Mel bands, from 0 Hz to half of the sampling rate."""
    log_eps: Positive = 1e-6
    """What is added to a band's power before the logarithm."""
    width: Count = 256
    """Channels of a hidden state."""
    num_layers: Depth = 4
    """Transformer blocks."""
    num_heads: Count = 4
    """Attention heads of each block."""
    ffn_width: Count = 1024
    """Hidden units of each block's feed-forward part."""
    position_kernel: Count = 31
    """Frames that the position convolution sees, an odd number."""
    norm_eps: NonNegative = 1e-5
    """Added to the variance in all norms."""
    sample_rate_hz: Count = 16000
    """Sampling rate of the waveform in Hz, at least 4000 with 80 bands."""
    dropout: ShareBelowOne = 0.0
    """Share of the numbers dropped after each part of a block."""
    attention_dropout: ShareBelowOne = 0.0
    """Share of the attention weights dropped."""
    feature_dropout: ShareBelowOne = 0.0
    """Share of the numbers dropped after the convolutions."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % self.num_heads:
            raise ConfigError(f"width={self.width} must be a multiple of num_heads={self.num_heads}.")
        if self.position_kernel % 2 == 0:
            raise ConfigError(f"position_kernel={self.position_kernel} must be odd, so that it has a middle.")


class MelTransformer(Upstream):
    """The encoder. It offers what an objective of frames asks for (`audiossl.encoders.frame_encoder`).

    layout: 'packed' (no padding is computed), 'padded' (masked) or 'auto' (packed on a CPU). Results are the same.
    """

    Config = MelTransformerConfig
    training_only = ("mask_embedding",)
    divides_at_stem = masks_input = False
    layout: Literal["auto", "packed", "padded"] = "auto"
    slopes: Tensor

    def __init__(self, config: MelTransformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MelTransformerConfig()
        self.sample_rate_hz = config.sample_rate_hz
        self.frontend = CentredLogMel(config.sample_rate_hz, config.num_mels, eps=config.log_eps, slaney=True)
        hop, width = self.frontend.hop, config.width
        # Two mel frames of silence lie before the first and after the last, which is centred on the first sample so.
        self.stride, self.edge = _STEP * hop, self.frontend.edge + _STACK // 2 * hop
        self.receptive_field = self.frontend.win + (_STACK - 1) * hop
        self.widths = (width,) * (config.num_layers + 1)
        self.num_features = _STACK * config.num_mels
        self.normalization = FixedNorm(self.num_features, _USUAL_MEAN, _USUAL_STD)
        self.feature_norm = nn.Identity()  # local features are normalised already
        self.stem = StackedConvs(config.num_mels, width)
        self.mask_embedding = nn.Parameter(torch.empty(width).uniform_())
        self.position = nn.Conv1d(width, width, config.position_kernel, groups=width)
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.num_heads,
                config.ffn_width,
                pre_norm=True,
                eps=config.norm_eps,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
            )
            for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(width, config.norm_eps)
        self.register_buffer("slopes", alibi_slopes(config.num_heads), persistent=False)

    @property
    def reused_parts(self) -> Sequence[nn.Module]:
        return [cast(Block, block).attention_norm for block in self.blocks]

    @property
    def min_samples(self) -> int:
        return self.frontend.edge + 1  # as much as is mirrored, and one more

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames of an input of `num_samples`, exactly: n // stride + 1, and none below `min_samples`."""
        frames = num_samples // self.stride + 1
        enough = num_samples >= self.min_samples
        if isinstance(frames, Tensor) and isinstance(enough, Tensor):
            return frames.where(enough, 0)
        return frames if enough else 0

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        if not self._is_packed(wavs):
            return self.contextualize(self.embed(self.local_features(wavs, lengths)), self.num_frames(lengths), last)
        stacks = [self._stacks(wav[None, :n], None)[0] for wav, n in zip(wavs, lengths.tolist(), strict=True)]
        layout = PackedAlibi([len(stack) for stack in stacks], self.slopes)
        x = self._positioned(self.embed(self.normalization(torch.cat(stacks))), layout.lengths)
        frames = self.num_frames(wavs.shape[1])
        return [layout.spread(state, frames) for state in self._states(x, layout, last)]

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> list[Tensor]:
        x = self.embed(self.normalization(self._stacks(wavs, None)))
        x = x + self._by_position(x)
        return self._states(x, PaddedAlibi(x.shape[1], self.slopes), last)

    def local_features(self, wavs: Tensor, lengths: Tensor, *, normalized: bool = True) -> Tensor:
        """Stacks of log mel frames (B, T, num_features), float32.

        wavs: (B, S), zero beyond the lengths.
        lengths: (B,) samples.
        normalized: whether by the statistics of the training data.
        """
        x = self._stacks(wavs, lengths)
        return self.normalization(x) if normalized else x

    def embed(self, x: Tensor) -> Tensor:
        """Local features (..., num_features) -> (..., D), which masks and `contextualize` work on."""
        return F.dropout(self.stem(x.to(self.norm.weight.dtype)), self.config.feature_dropout, self.training)

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
        kept: bool (B, T), the frames that go through the blocks after positions were added. Others come back as 0.
            None for all real ones.
        ffn_outputs: a list that each block's feed-forward output (B, T, D) is appended to.
        """
        inside = valid_frames(frames, x.shape[1])
        positioned = self._with_positions(x, frames, inside)
        if kept is None and not self._is_packed(x):
            return self._states(positioned, PaddedAlibi(x.shape[1], self.slopes, inside), last, ffn_outputs)
        return self._only(positioned, inside if kept is None else kept & inside, last, ffn_outputs)

    def begin(self, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        """As `Divisible.begin`. What is carried is no hidden state, which is read through a norm of the next block."""
        frames, x = self.num_frames(lengths), self.embed(self.local_features(wavs, lengths))
        inside = valid_frames(frames, x.shape[1])
        chosen, layout = self._chosen(inside, x)
        residuals = self._residuals(chosen.take(self._with_positions(x, frames, inside)), layout, 0, point)
        return [chosen.put_back(state) for state in (*self._normed(residuals, 0), residuals[-1])]

    def go_on(self, carried: Tensor, frames: Tensor, point: int, last: int) -> list[Tensor]:
        """Hidden states `point` to `last`, each (B, T, D).

        carried, frames, point, last: as for `Divisible.go_on`.
        """
        x = carried.to(self.norm.weight.dtype)
        chosen, layout = self._chosen(valid_frames(frames, x.shape[1]), x)
        residuals = self._residuals(chosen.take(x), layout, point, last)
        return [chosen.put_back(state) for state in self._normed(residuals, point)]

    @property
    def needs_statistics(self) -> bool:
        """True while the local features are normalised as is usual for speech, and not by the training data."""
        return not bool(self.normalization.fitted)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Mean and standard deviation (num_features,) of the local features of the training data."""
        self.normalization.fit(mean, std)

    def _with_positions(self, x: Tensor, frames: Tensor, inside: Tensor) -> Tensor:
        """Embedded frames (B, T, D) with positions added, each item by itself. inside: (B, T), which are real."""
        if not self._is_packed(x):
            x = torch.where(inside[..., None], x, x.new_zeros(()))
            return x + self._by_position(x)
        counts = frames.tolist()
        packed = torch.cat([row[:n] for row, n in zip(x, counts, strict=True)])
        return PackedAlibi(counts, self.slopes).spread(self._positioned(packed, counts), x.shape[1])

    def _is_packed(self, x: Tensor) -> bool:
        on_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
        return on_cpu if self.layout == "auto" else self.layout == "packed"

    def _stacks(self, wavs: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, S) -> (B, T, num_features), T = S // stride + 1. lengths: (B,), None where all have S samples."""
        size, silence = self.num_frames(wavs.shape[1]), math.log(self.config.log_eps)
        with torch.autocast(wavs.device.type, enabled=False):
            even = lengths is None
            lengths = torch.full(wavs.shape[:1], wavs.shape[1], device=wavs.device) if lengths is None else lengths
            mels = self.frontend(wavs.float(), lengths)  # (B, 1 + S // hop, num_mels)
            if not even:  # what was mirrored at an item's end has frames beyond it
                inside = valid_frames(lengths // self.frontend.hop + 1, mels.shape[1])
                mels = torch.where(inside[..., None], mels, silence)
            reach = _STACK // 2
            after = _STEP * (size - 1) + reach + 1 - mels.shape[1]
            mels = F.pad(mels, (0, 0, reach, after), value=silence).flatten(1)
            return mels.unfold(1, self.num_features, _STEP * self.config.num_mels)

    def _by_position(self, x: Tensor) -> Tensor:
        """(B, T, D), zero beyond each item -> (B, T, D)."""
        made = convolve(
            x.transpose(1, 2),
            self.position.weight,
            self.position.bias,
            padding=self.config.position_kernel // 2,
            groups=self.config.width,
        )
        return F.gelu(made).transpose(1, 2)

    def _positioned(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        """(N, D) of items one after the other, with positions added. Zeros between them keep them apart."""
        gap = self.config.position_kernel // 2
        parts = [F.pad(part, (0, 0, 0, gap)) for part in x.split(list(lengths))]
        made = self._by_position(torch.cat(parts)[None])[0].split([n + gap for n in lengths])
        return x + torch.cat([part[:n] for part, n in zip(made, lengths, strict=True)])

    def _only(self, x: Tensor, kept: Tensor, last: int, ffn_outputs: list[Tensor] | None) -> list[Tensor]:
        """States of the frames `kept` (B, T) of x (B, T, D), which alone go through the blocks. Others are 0."""
        chosen, layout = self._chosen(kept, x)
        found: list[Tensor] | None = None if ffn_outputs is None else []
        states = self._states(chosen.take(x), layout, last, found)
        if ffn_outputs is not None:
            ffn_outputs += map(chosen.put_back, found or [])
        return [chosen.put_back(state) for state in states]

    def _chosen(self, kept: Tensor, x: Tensor) -> tuple[Chosen, PackedAlibi | PaddedAlibi]:
        """The frames `kept` (B, T) of x (B, T, D), and how they lie."""
        chosen = Chosen(kept, packed=self._is_packed(x))
        layout: PackedAlibi | PaddedAlibi
        if isinstance(chosen.layout, Packed):
            lengths = chosen.layout.lengths
            whole = bool((kept == valid_frames(kept.sum(1), kept.shape[1])).all())
            steps = torch.arange(kept.shape[1], device=x.device).expand_as(kept)[kept]
            layout = PackedAlibi(lengths, self.slopes, None if whole else steps.split(list(lengths)))
        else:
            layout = PaddedAlibi(chosen.layout.frames, self.slopes, chosen.layout.valid, chosen.order)
        return chosen, layout

    def _states(
        self, x: Tensor, layout: PackedAlibi | PaddedAlibi, last: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """Hidden states 0 to `last` of frames with positions, in `layout`."""
        # Of one scale, so that a sum over layers hears them all: the residual's sum grows from block to block.
        return self._normed(self._residuals(x, layout, 0, last, ffn_outputs), 0)

    def _residuals(
        self,
        x: Tensor,
        layout: PackedAlibi | PaddedAlibi,
        first: int,
        last: int,
        ffn_outputs: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """What blocks `first` to `last` - 1 read, and what the last of them gives, in `layout`."""
        found = [x]
        for block in self.blocks[first:last]:
            found.append(block(found[-1], layout, ffn_outputs=ffn_outputs))
        return found

    def _normed(self, residuals: Sequence[Tensor], first: int) -> list[Tensor]:
        """Hidden states of what blocks `first` and the following read."""
        # Of one scale, so that a sum over layers hears them all: the residual's sum grows from block to block.
        norms = [*self.reused_parts, self.norm][first:]
        return [norm(x) for norm, x in zip(norms, residuals, strict=False)]


class FixedNorm(nn.Module):
    """(x - mean) / std of each feature, by statistics of the training data.

    width: F.
    mean, std: of every feature until `fit` is called.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, width: int, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((width,), mean))
        self.register_buffer("std", torch.full((width,), std))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, mean: Tensor, std: Tensor) -> None:
        """Take mean and standard deviation (F,)."""
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) -> (..., F)."""
        return (x - self.mean) / self.std


class StackedConvs(nn.Module):
    """Two convolutions over time with kernels of 3, on the five mel frames of one frame: (..., 5 F) -> (..., D).

    num_mels: F.
    width: D.
    """

    def __init__(self, num_mels: int, width: int) -> None:
        super().__init__()
        self.num_mels = num_mels
        self.first, self.second = nn.Linear(3 * num_mels, width), nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., 5 F) -> (..., D)."""
        bands = self.num_mels
        windows = torch.stack([x[..., n * bands : (n + 3) * bands] for n in range(3)], dim=-2)  # (..., 3, 3 F)
        x = F.gelu(self.second(F.gelu(self.first(windows)).flatten(-2)))
        return x
