"""From the sequence to a logit for each frame and class, and from frames to the classes of a recording.

Weak labels say what is heard in a recording and not when (multiple-instance learning). A pooling makes the probability
of a recording of those of its frames, and its loss reaches the frames (Wang, Li and Metze, 2019, arXiv:1810.09050).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from audiossl.nn.frame_layers import FrameConvolution
from audiossl.nn.masking import valid_frames

_LEAST = 1e-6  # of a probability in a logarithm
KERNEL = 5  # frames of a convolution


class EventHead(nn.Module):
    """Layer normalisation of frames (or none), convolutions over time, and a linear layer to C logits.

    Convolutions of 5 frames are dilated by 1, 2, 4, ... A logit depends on `reach` frames on either side and on no
    other, so that a recording of any length can be read in parts. Padding changes nothing.

    width: of the sequence.
    num_classes: C.
    hidden: channels of the convolutions.
    num_layers: how many there are, 0 for a linear layer alone.
    normalize: whether frames are normalised first.
    dropout: on what each convolution gives.
    attention: whether there is a second logit, which says how much a frame counts for its recording.
    """

    def __init__(
        self,
        width: int,
        num_classes: int,
        *,
        hidden: int = 128,
        num_layers: int = 3,
        normalize: bool = False,
        dropout: float = 0.0,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if normalize else nn.Identity()
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        self.reach = 0
        for number in range(num_layers):
            self.layers.append(FrameConvolution(width, hidden, KERNEL, dilation=2**number))
            self.norms.append(nn.LayerNorm(hidden))
            self.reach += 2**number * (KERNEL - 1) // 2
            width = hidden
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, num_classes)
        self.attention = nn.Linear(width, num_classes) if attention else None

    def hidden(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, width), (B,) frames -> (B, T, H), which both linear layers read."""
        x = self.norm(x.to(self.output.weight.dtype))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            made: Tensor = layer(x.transpose(1, 2), lengths).transpose(1, 2)
            x = self.dropout(nn.functional.gelu(norm(made)))
        return x

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, width), (B,) frames -> logits (B, T, C), and those of the attention, likewise, or None."""
        x = self.hidden(x, lengths)
        return self.output(x).float(), None if self.attention is None else self.attention(x).float()


def _max(logits: Tensor, attention: Tensor | None, valid: Tensor) -> Tensor:
    return torch.where(valid, logits, -torch.inf).amax(dim=1).sigmoid()


def _linear_softmax(logits: Tensor, attention: Tensor | None, valid: Tensor) -> Tensor:
    probabilities = torch.where(valid, logits.sigmoid(), 0.0)
    return probabilities.square().sum(dim=1) / probabilities.sum(dim=1).clamp(min=_LEAST)


def _attention(logits: Tensor, attention: Tensor | None, valid: Tensor) -> Tensor:
    assert attention is not None
    weights = torch.where(valid, attention, -torch.inf).softmax(dim=1)
    return (weights * torch.where(valid, logits.sigmoid(), 0.0)).sum(dim=1)


def _noisy_or(logits: Tensor, attention: Tensor | None, valid: Tensor) -> Tensor:
    # log(1 - p) = -softplus(logit), summed over the frames: that none of them has the class.
    return 1 - torch.where(valid, -nn.functional.softplus(logits), 0.0).sum(dim=1).exp()


FramePooling = Callable[[Tensor, Tensor | None, Tensor], Tensor]
POOLINGS: Mapping[str, FramePooling] = {
    "attention": _attention,
    "linear_softmax": _linear_softmax,
    "max": _max,
    "noisy_or": _noisy_or,
}


def pooled(kind: str, logits: Tensor, attention: Tensor | None, lengths: Tensor) -> Tensor:
    """(B, C) probabilities of recordings, of which padding is no part.

    attention     sum_t softmax_t(a) p, where a is a second logit of the frame
    linear_softmax  sum_t p^2 / sum_t p, so that frames count by their own probability
    max           max_t p
    noisy_or      1 - prod_t (1 - p), the chance of at least one if frames were independent

    kind: one of these.
    logits: (B, T, C) whose sigmoid is p.
    attention: (B, T, C) a, or None.
    lengths: (B,) frames.
    """
    valid = valid_frames(lengths.clamp(min=1), logits.shape[1])[..., None]
    # Whatever padding holds, no gradient goes through it.
    logits = torch.where(valid, logits, 0.0)
    attention = None if attention is None else torch.where(valid, attention, 0.0)
    return POOLINGS[kind](logits, attention, valid).clamp(_LEAST, 1 - _LEAST)


def first_bias(kind: str, share: float, num_frames: float) -> float:
    """The logit of a frame before training, by which a recording has its class as often as training ones have.

    kind: the pooling. '' for labels of frames.
    share: of training recordings (or of their frames) with the class.
    num_frames: of a training recording.
    """
    likely = min(max(share, 0.01), 0.99)
    if kind == "noisy_or":  # 1 - (1 - p)^T = share
        likely = 1 - (1 - likely) ** (1 / max(num_frames, 1.0))
    return float(torch.logit(torch.tensor(likely, dtype=torch.float64)))
