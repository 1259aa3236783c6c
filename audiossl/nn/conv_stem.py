"""The convolutional waveform front end of the wav2vec 2.0 family (arXiv:2006.11477, section 2).

Seven convolutions without padding, so that a frame depends on the samples of its receptive field alone. The one thing
that looks further is the GroupNorm of the base style, whose statistics run over the whole of an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.nn.convolution import convolve
from audiossl.nn.masking import valid_frames

# Rows that are multiplied, normalised and squashed at a time: 1024 x 512 float32 stay in a core's cache.
_ROWS = 1024


def stride_and_receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Samples from frame to frame and samples that a frame sees, of a stack of convolutions without padding.

    A stack floor((n - k) / s) + 1 of such layers is again of this form, with
    stride = prod s_i and receptive field = 1 + sum (k_i - 1) prod_{j < i} s_j.

    >>> stride_and_receptive_field((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    (320, 400)
    """
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return step, field


class ConvStem(nn.Module):
    """Convolution, norm, GELU, for each layer.

    widths: channels of each layer.
    kernels: taps of each layer.
    strides: of each layer.
    norm: 'group' (one channel a group, over time, in the first layer only: base style) or 'layer' (over channels, in
    every layer: large style).
    bias: whether the convolutions have one.
    """

    def __init__(
        self,
        widths: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        norm: Literal["group", "layer"],
        bias: bool,
    ) -> None:
        super().__init__()
        self.kernels, self.strides, self.norm = tuple(kernels), tuple(strides), norm
        inputs = (1, *widths[:-1])
        self.convs = nn.ModuleList(
            nn.Conv1d(i, o, k, s, bias=bias) for i, o, k, s in zip(inputs, widths, kernels, strides, strict=True)
        )
        if norm == "group":
            self.norms = nn.ModuleList([nn.GroupNorm(widths[0], widths[0])])
        else:
            self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        for conv in self.convs:
            nn.init.kaiming_normal_(cast(nn.Conv1d, conv).weight)

    def forward(
        self, wavs: Tensor, lengths: Tensor | None = None, moments: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """(B, S) -> (B, T, C), by convolutions.

        lengths: (B,) samples of each item, None where none is padded (or padding may leak).
        moments: for a part of a recording, mean and variance (C,) of the first convolution over the whole of it, in
        the GroupNorm's place.
        """
        if moments is None and lengths is not None and self.norm == "group":
            moments = self.moments(wavs, lengths)
        x = wavs[:, None]  # (B, 1, S)
        for number, (conv, stride) in enumerate(zip(self.convs, self.strides, strict=True)):
            x = convolve(x, cast(nn.Conv1d, conv).weight, cast(nn.Conv1d, conv).bias, stride=stride)
            if self.norm == "layer":
                x = self.norms[number](x.transpose(1, 2)).transpose(1, 2)
            elif number == 0 and moments is None:
                x = self.norms[0](x)
            elif number == 0 and moments is not None:
                scale, shift = self._affine(moments)
                x = x * scale.to(x.dtype)[..., None] + shift.to(x.dtype)[..., None]
            x = F.gelu(x)
        return x.transpose(1, 2)

    def rows(self, wavs: Sequence[Tensor], moments: tuple[Tensor, Tensor] | None = None) -> list[Tensor]:
        """Items (S_i,) -> (T_i, C) each, without padding: the same as `forward`, as matrix products.

        Frames are rows from the start, so that a layer norm needs no transposition, and a GroupNorm is folded into the
        first weights. On a CPU this is the faster way, most of all in bfloat16.
        """
        weights = [_tap_matrices(cast(nn.Conv1d, conv)) for conv in self.convs]
        made = []
        for wav in wavs:
            x = self._first_rows(wav, weights[0], moments)
            for layer in range(1, len(self.convs)):
                x = self._rows_of(layer, x, weights[layer])
            made.append(x)
        return made

    def _first_rows(self, wav: Tensor, weights: list[Tensor], moments: tuple[Tensor, Tensor] | None) -> Tensor:
        conv = cast(nn.Conv1d, self.convs[0])
        windows = wav.unfold(0, self.kernels[0], self.strides[0])  # (T, K)
        weight, bias = weights[0], conv.bias
        if self.norm == "layer":
            x: Tensor = self.norms[0](F.linear(windows, weight, bias))
            return F.gelu(x)
        if moments is None:
            mean, variance = self.moments(wav[None], torch.tensor([len(wav)], device=wav.device))
            moments = mean[0], variance[0]
        scale, shift = self._affine(moments)  # (C,)
        shift = shift if bias is None else shift + scale * bias.double()
        return F.gelu(F.linear(windows, (weight.double() * scale[:, None]).to(wav.dtype), shift.to(wav.dtype)))

    def _rows_of(self, layer: int, x: Tensor, weights: list[Tensor]) -> Tensor:
        """One layer after the first: (T, C) -> (T', C')."""
        stride, bias = self.strides[layer], cast(nn.Conv1d, self.convs[layer]).bias
        frames, inputs = (len(x) - self.kernels[layer]) // stride + 1, x.shape[1]
        # A kernel wider than its stride is cut into groups of `stride` taps: each is a product with a view of x.
        views = []
        for group, weight in enumerate(weights):
            taps, start = weight.shape[1] // inputs, group * stride
            shape, steps = (frames, taps * inputs), (stride * inputs, 1)
            views.append(x.as_strided(shape, steps, x.storage_offset() + start * inputs))
        # A piece at a time, so that what is multiplied is still in the cache when it is normalised.
        blocks = range(0, frames, frames if torch.is_grad_enabled() else _ROWS)
        made = []
        for start in blocks:
            rows = slice(start, start + (frames if torch.is_grad_enabled() else _ROWS))
            y = F.linear(views[0][rows], weights[0], bias)
            for view, weight in zip(views[1:], weights[1:], strict=True):
                y = torch.addmm(y, view[rows], weight.t())
            made.append(F.gelu(self.norms[layer](y) if self.norm == "layer" else y))
        return made[0] if len(made) == 1 else torch.cat(made)

    def moments(self, wavs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (B, C), float64, of the first convolution over each item's own frames."""
        kernel, stride = self.kernels[0], self.strides[0]
        windows = wavs.double().unfold(1, kernel, stride)  # (B, T, K)
        frames = (lengths - kernel) // stride + 1
        windows = torch.where(valid_frames(frames, windows.shape[1])[..., None], windows, 0.0)
        count = frames[:, None].double()
        mean = windows.sum(1) / count
        covariance = windows.transpose(1, 2) @ windows / count[..., None] - mean[:, :, None] * mean[:, None]
        return channel_moments(cast(nn.Conv1d, self.convs[0]), mean, covariance)

    def _affine(self, moments: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The GroupNorm with known mean and variance, as scale and shift of its input in float64."""
        norm, (mean, variance) = cast(nn.GroupNorm, self.norms[0]), moments
        scale = norm.weight.double() * torch.rsqrt(variance.double() + norm.eps)
        return scale, norm.bias.double() - mean.double() * scale


def channel_moments(conv: nn.Conv1d, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (..., C) of a convolution of one input, from those of its windows: (..., K), (..., K, K).

    A channel is w . window + b, so its mean is w . m + b and its variance w C w: the convolution itself need not be run
    to know them. Float64.
    """
    weight = conv.weight[:, 0].double()  # (C, K)
    means = mean @ weight.t()
    if conv.bias is not None:
        means = means + conv.bias.double()
    return means, ((weight @ covariance) * weight).sum(-1).clamp(min=0)


def _tap_matrices(conv: nn.Conv1d) -> list[Tensor]:
    """A convolution's weight (O, I, K) as matrices (O, taps x I), one for each group of `stride` taps."""
    if conv.in_channels == 1:
        return [conv.weight[:, 0]]
    parts: list[Tensor] = list(conv.weight.split(conv.stride[0], dim=2))
    return [part.transpose(1, 2).flatten(1).contiguous() for part in parts]
