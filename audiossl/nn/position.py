"""Convolutional position codes (arXiv:2006.11477, section 2): a wide grouped convolution over frames, added to them.

Three forms are published: weight-normalised (wav2vec 2.0, HuBERT, WavLM), with a batch norm before it (mHuBERT at
25 Hz), and a stack of narrow convolutions with layer norms (data2vec, arXiv:2202.03555).
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.nn.convolution import convolve


class PositionConv(nn.Module):
    """Weight-normalised convolution, GELU. w = scale * direction / |direction|, the norm over all but the taps.

    An even kernel leaves one frame too many at the end, which is dropped.
    """

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups, self.padding, self.surplus = groups, kernel // 2, 1 - kernel % 2
        self.direction = nn.Parameter(torch.empty(width, width // groups, kernel))
        self.scale = nn.Parameter(torch.empty(1, 1, kernel))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.direction, std=math.sqrt(4.0 / (kernel * width)))
        self.scale.data = _tap_norms(self.direction.data)
        self._folded: tuple[tuple[object, ...], Tensor] | None = None

    def weight(self) -> Tensor:
        """(D, D / groups, K). Folded once while nothing is trained: the norm of 4.7 million numbers is not free."""
        if (torch.is_grad_enabled() and self.direction.requires_grad) or self.direction.device.type != "cpu":
            return self._fold()
        # A sample of the values as well as the version: writing through `.data` leaves the version as it was.
        sample = (float(self.direction[0].sum()), float(self.scale.sum()), self.direction.dtype)
        key = (*sample, *(0 if p.is_inference() else p._version for p in (self.direction, self.scale)))
        if self._folded is None or self._folded[0] != key:
            # Of no mode, since what inference mode makes cannot be used in training later.
            with torch.inference_mode(False), torch.no_grad():
                self._folded = (key, self._fold())
        return self._folded[1]

    def _fold(self) -> Tensor:
        direction = self.direction.float()
        return (self.scale.float() / _tap_norms(direction) * direction).to(self.direction.dtype)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, T, D), zero in the padding -> (B, T, D)."""
        made = convolve(x.transpose(1, 2), self.weight(), self.bias, padding=self.padding, groups=self.groups)
        return F.gelu(_trimmed(made, self.surplus)).transpose(1, 2)


class BatchNormPositionConv(nn.Module):
    """Batch norm (always with its running statistics), convolution, GELU."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.surplus = 1 - kernel % 2
        self.norm = nn.BatchNorm1d(width)
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=groups)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D). With valid (B, T), what the norm adds to the padding is taken away again."""
        norm = self.norm
        # Statistics of a padded batch would depend on the padding, and those of a small one are worth little.
        x = F.batch_norm(x.transpose(1, 2), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        if valid is not None:
            x = torch.where(valid[:, None], x, x.new_zeros(()))
        return F.gelu(_trimmed(_run(self.conv, x), self.surplus)).transpose(1, 2)


class StackedPositionConv(nn.Module):
    """`depth` times: convolution, layer norm without parameters, GELU.

    width: D.
    kernel: K, of which each convolution has max(3, K // depth).
    groups: of channels that are kept apart.
    depth: how many convolutions.
    eps: of the layer norms.
    """

    def __init__(self, width: int, kernel: int, groups: int, depth: int, eps: float = 1e-5) -> None:
        super().__init__()
        narrow = max(3, kernel // depth)
        self.eps, self.surplus = eps, 1 - narrow % 2
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, narrow, padding=narrow // 2, groups=groups) for _ in range(depth)
        )

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, T, D), zero in the padding -> (B, T, D). With valid (B, T) it stays zero from layer to layer."""
        for conv in self.convs:
            made = _trimmed(_run(cast(nn.Conv1d, conv), x.transpose(1, 2)), self.surplus).transpose(1, 2)
            x = F.gelu(F.layer_norm(made, made.shape[-1:], eps=self.eps))
            if valid is not None:
                x = torch.where(valid[..., None], x, x.new_zeros(()))
        return x


def _tap_norms(direction: Tensor) -> Tensor:
    """(D, D / groups, K) -> (1, 1, K)."""
    norms: Tensor = torch.linalg.vector_norm(direction, dim=(0, 1), keepdim=True)
    return norms


def _run(conv: nn.Conv1d, x: Tensor) -> Tensor:
    padding = cast(int, conv.padding[0])
    return convolve(x, conv.weight, conv.bias, padding=padding, groups=conv.groups)


def _trimmed(x: Tensor, surplus: int) -> Tensor:
    return x[..., : x.shape[-1] - surplus]
