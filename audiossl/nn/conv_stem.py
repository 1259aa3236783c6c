"""The convolutional waveform front end of the wav2vec 2.0 family (arXiv:2006.11477, section 2).

Seven convolutions without padding, so that a frame depends on the samples of its receptive field alone; the one thing
that looks further is the GroupNorm of the base style, whose statistics run over the whole of an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.nn.masking import valid_frames


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

    norm: 'group' (one channel a group, over time, in the first layer only: base style) or 'layer' (over channels, in
    every layer: large style).
    """

    def __init__(
        self,
        widths: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        norm: Literal["group", "layer"],
        bias: bool,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.kernels, self.strides, self.norm = tuple(kernels), tuple(strides), norm
        inputs = (1, *widths[:-1])
        self.convs = nn.ModuleList(
            nn.Conv1d(i, o, k, s, bias=bias) for i, o, k, s in zip(inputs, widths, kernels, strides, strict=True)
        )
        if norm == "group":
            self.norms = nn.ModuleList([nn.GroupNorm(widths[0], widths[0], eps)])
        else:
            self.norms = nn.ModuleList(nn.LayerNorm(width, eps) for width in widths)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight)  # type: ignore[arg-type]

    def forward(self, wavs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, S) -> (B, T, C). lengths: (B,) samples of each item; None where none is padded (or padding may leak)."""
        x = wavs[:, None]  # (B, 1, S)
        for number, conv in enumerate(self.convs):
            if number == 0 and self.norm == "group":
                x = F.gelu(self._first(x, lengths))
            elif self.norm == "layer":
                x = F.gelu(self.norms[number](conv(x).transpose(1, 2))).transpose(1, 2)
            else:
                x = F.gelu(conv(x))
        return x.transpose(1, 2)

    def _first(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """First convolution and its GroupNorm, over each item's own frames."""
        x = self.convs[0](x)
        norm = self.norms[0]
        if lengths is None:
            normed: Tensor = norm(x)
            return normed
        frames = (lengths - self.kernels[0]) // self.strides[0] + 1  # (B,)
        return masked_instance_norm(x, frames, norm.weight, norm.bias, norm.eps)  # type: ignore[arg-type]


def masked_instance_norm(x: Tensor, frames: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Instance norm of x (B, C, T) over the first frames (B,) of each item; in float32, returned in x's dtype."""
    inside = valid_frames(frames, x.shape[-1])[:, None]  # (B, 1, T)
    wide = x.float()
    count = frames[:, None, None]
    mean = torch.where(inside, wide, 0.0).sum(-1, keepdim=True) / count
    centred = wide - mean
    variance = torch.where(inside, centred.square(), 0.0).sum(-1, keepdim=True) / count
    normed = centred * torch.rsqrt(variance + eps)
    return (normed * weight.float()[:, None] + bias.float()[:, None]).to(x.dtype)
