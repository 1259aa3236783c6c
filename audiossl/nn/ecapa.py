"""ECAPA-TDNN (Desplanques et al., 2020, arXiv:2005.07143): one embedding of a sequence of frames.

A time-delay layer, three SE-Res2Net blocks (section 3.2), a layer that reads the outputs of all three (section 3.3),
attentive statistics with the item's mean and deviation as context (section 3.1), and a linear layer.
Modules have the names of speechbrain's, so that its checkpoints load as they are, and draw their first weights in the
same order. The result is the same, too, for items of one length.

Padding never changes an embedding. In evaluation every convolution mirrors an item at its own end, and means are over
real frames. In training, where batch normalisation makes an item depend on the others anyway, shorter items are
repeated from their beginning to the longest, so that no frame of padding enters the statistics.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.nn.masking import valid_frames

_RES2NET_SCALE = 8
_HIDDEN = 128  # of squeeze and excitation, and of the attention
_DILATIONS = (2, 3, 4)  # of the blocks
_SMALLEST_VARIANCE = 1e-12


class EcapaTdnn(nn.Module):
    """x (B, T, width), lengths (B,) frames, each at least `min_frames` -> (B, embedding_width).

    width: of the sequence.
    channels: of the convolutions, a multiple of 8.
    embedding_width: of the embedding.
    dropout: of whole channels, after each layer but those inside a Res2Net.
    """

    def __init__(self, width: int, channels: int, embedding_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.out_width = embedding_width
        self.min_frames = max(_DILATIONS) + 1  # what is mirrored, and the frame that it is mirrored at
        self.blocks = nn.ModuleList([_TimeDelay(width, channels, kernel_size=5, dropout=dropout)])
        self.blocks.extend(_SeRes2Net(channels, dilation, dropout) for dilation in _DILATIONS)
        joined = len(_DILATIONS) * channels
        self.mfa = _TimeDelay(joined, joined, dropout=dropout)
        self.asp = _AttentiveStatistics(joined)
        self.asp_bn = _Norm(2 * joined)
        self.fc = _Convolution(2 * joined, embedding_width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        lengths = lengths.to(x.device)
        made = x
        if self.training:
            made, lengths = _repeated(made, lengths)
        made, outputs = made.transpose(1, 2), []  # (B, width, T)
        for block in self.blocks:
            made = block(made, lengths)
            outputs.append(made)
        made = self.mfa(torch.cat(outputs[1:], dim=1), lengths)
        pooled = self.asp_bn(self.asp(made, lengths))  # (B, 2 * joined, 1)
        embedding: Tensor = self.fc(pooled, lengths)[..., 0]
        return embedding.to(x.dtype)


class _Convolution(nn.Module):
    """(B, C, T) -> (B, C', T), each item mirrored at its own ends."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation)
        self.reach = dilation * (kernel_size - 1) // 2

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.conv(_mirrored(x, lengths, self.reach) if self.reach else x)
        return made


class _Norm(nn.Module):
    """Batch normalisation (B, C, T). A batch of one item, which has no statistics, uses the running ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if self.training and len(x) == 1:
            return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        made: Tensor = norm(x)
        return made


class _TimeDelay(nn.Module):
    """A convolution, ReLU and batch normalisation: (B, C, T) -> (B, C', T)."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int = 1, dilation: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = _Convolution(inputs, outputs, kernel_size, dilation)
        self.norm = _Norm(outputs)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made: Tensor = self.dropout(self.norm(self.conv(x, lengths).relu()))
        return made


class _Res2Net(nn.Module):
    """Eight groups of channels (B, C, T), of which each after the first also reads the one before it."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        group = channels // _RES2NET_SCALE
        self.blocks = nn.ModuleList(_TimeDelay(group, group, 3, dilation) for _ in range(_RES2NET_SCALE - 1))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        first, second, *others = x.chunk(_RES2NET_SCALE, dim=1)
        made = [first, self.blocks[0](second, lengths)]
        for block, group in zip(self.blocks[1:], others, strict=True):
            made.append(block(group + made[-1], lengths))
        return torch.cat(made, dim=1)


class _SqueezeExcitation(nn.Module):
    """Weighs each channel (B, C, T) by what the item's means say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _Convolution(channels, _HIDDEN), _Convolution(_HIDDEN, channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        valid = valid_frames(lengths, x.shape[2])[:, None]  # (B, 1, T)
        mean = torch.where(valid, x, x.new_zeros(())).sum(dim=2, keepdim=True) / lengths[:, None, None]
        weight: Tensor = self.conv2(self.conv1(mean, lengths).relu(), lengths).sigmoid()  # (B, C, 1)
        return weight * x


class _SeRes2Net(nn.Module):
    """Frames, their context, frames again, squeeze and excitation, and the input once more: (B, C, T)."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.tdnn1 = _TimeDelay(channels, channels, dropout=dropout)
        self.res2net_block = _Res2Net(channels, dilation)
        self.tdnn2 = _TimeDelay(channels, channels, dropout=dropout)
        self.se_block = _SqueezeExcitation(channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        made = self.tdnn2(self.res2net_block(self.tdnn1(x, lengths), lengths), lengths)
        residual: Tensor = self.se_block(made, lengths)
        return x + residual


class _AttentiveStatistics(nn.Module):
    """Mean and deviation over time (B, C, T) -> (B, 2 C, 1), with weights for each channel and frame.

    Unlike `nn.pooling`'s, a ReLU and batch normalisation lie before the tanh of the attention, as in speechbrain.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tdnn = _TimeDelay(3 * channels, _HIDDEN)
        self.conv = _Convolution(_HIDDEN, channels)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        valid = valid_frames(lengths, x.shape[2])[:, None]  # (B, 1, T)
        x = torch.where(valid, x, x.new_zeros(())).to(torch.promote_types(x.dtype, torch.float32))
        even = valid / lengths[:, None, None].to(x.dtype)
        context = [moment[..., None].expand_as(x) for moment in _moments(x, even)]
        scores = self.conv(self.tdnn(torch.cat([x, *context], dim=1), lengths).tanh(), lengths)
        weights = scores.masked_fill(~valid, -torch.inf).to(x.dtype).softmax(dim=2)
        return torch.cat(_moments(x, weights), dim=1)[..., None]


def _moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (B, C) of x (B, C, T) with weights (B, 1 or C, T) that sum to 1 over time."""
    mean = (weights * x).sum(dim=2)
    variance = (weights * (x - mean[..., None]).square()).sum(dim=2)
    return mean, variance.clamp(min=_SMALLEST_VARIANCE).sqrt()


def _mirrored(x: Tensor, lengths: Tensor, reach: int) -> Tensor:
    """x (B, C, T) -> (B, C, reach + T + reach), where `reach` frames before and after each item mirror it."""
    padded = F.pad(x, (reach, reach), mode="reflect")
    steps = torch.arange(1, reach + 1, device=x.device)
    ends = (lengths - 1)[:, None]  # (B, 1)
    # What follows a shorter item is overwritten by the frames before its last, in turn.
    inside = (ends - steps)[:, None].expand(-1, x.shape[1], -1)  # (B, C, reach)
    beyond = (ends + reach + steps)[:, None].expand(-1, x.shape[1], -1)
    return padded.scatter(2, beyond, x.gather(2, inside).to(padded.dtype))  # autocast pads in float32


def _repeated(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Each item (B, T, D) from its beginning again and again until T, and T for each."""
    batch, frames, width = x.shape
    places = torch.arange(frames, device=x.device) % lengths[:, None]  # (B, T)
    return x.gather(1, places[..., None].expand(batch, frames, width)), torch.full_like(lengths, frames)
