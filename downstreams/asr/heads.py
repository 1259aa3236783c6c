"""From the sequence to a score for every unit and the blank, frame by frame.

Neighbouring frames may be joined, so that encoders of 10 ms and of 20 ms frames meet the same head, and recurrent
layers take fewer steps. Padding changes nothing: what is joined beyond an item's last frame is zero, and both
directions of an LSTM begin with an item's own frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count, NonNegative, ShareBelowOne, check_ranges
from audiossl.nn.masking import valid_frames


@dataclass(frozen=True)
class HeadConfig:
    """From the sequence to a score for every unit."""

    kind: Literal["bilstm", "linear"] = "bilstm"
    """'bilstm' has LSTMs in both directions, 'linear' is the same without them."""
    frame_s: NonNegative = 0.02
    """As many neighbouring frames are joined as last this long. 0 for none."""
    normalize: bool = True
    """Whether each frame goes through layer normalisation first, as spectral features are far from mean 0 and variance
    1."""
    projector_width: Count | None = 512
    """Width of the linear layer that follows. Null for no such layer."""
    hidden: Count = 512
    """Width of an LSTM in one direction."""
    num_layers: Count = 2
    """How many LSTMs there are, one on the other."""
    dropout: ShareBelowOne = 0.2
    """Dropout on the output of each LSTM."""

    def __post_init__(self) -> None:
        check_ranges(self, "head")


def frames_joined(frame_s: float, frame_rate_hz: float) -> int:
    """How many frames one step of the head stands for.

    >>> frames_joined(0.02, 100), frames_joined(0.02, 50), frames_joined(0.03, 49.9), frames_joined(0, 100)
    (2, 1, 2, 1)
    """
    return max(1, -int(-(frame_s * frame_rate_hz - 1e-6) // 1))


def join_frames(x: Tensor, lengths: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(B, T, D) -> (B, ceil(T / count), count * D), and the lengths, rounded up. Zeros fill the last one."""
    if count == 1:
        return x, lengths
    batch, frames, width = x.shape
    x = torch.where(valid_frames(lengths, frames)[..., None], x, x.new_zeros(()))
    steps = (frames + count - 1) // count  # graphs round negative quotients otherwise
    x = nn.functional.pad(x, (0, 0, 0, steps * count - frames))
    return x.reshape(batch, steps, count * width), (lengths + count - 1) // count


def reverse_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D) with each item's own frames in reverse order, and its padding where it was."""
    places = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    reverse = torch.where(valid_frames(lengths, x.shape[1]), lengths[:, None] - 1 - places, places)
    return x.gather(1, reverse[..., None].expand_as(x))


class Bidirectional(nn.Module):
    """An LSTM in each direction. The backward one reads the reversed item, so that padding comes last for both.

    The same function as nn.LSTM on a packed sequence, whose gradient on a CPU takes three times as long.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(width, hidden, batch_first=True)
        self.back = nn.LSTM(width, hidden, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, width) -> (B, T, 2 hidden)."""
        back = self.back(reverse_frames(x, lengths))[0]
        return torch.cat([self.ahead(x)[0], reverse_frames(back, lengths)], dim=-1)


class CtcHead(nn.Module):
    """Normalise, join, project, LSTM layers (or none), and a linear layer to scores.

    width: of the sequence.
    num_classes: how many scores a step has.
    joined: how many frames a step stands for.
    config: the layers between.
    """

    def __init__(self, width: int, num_classes: int, joined: int, config: HeadConfig) -> None:
        super().__init__()
        self.joined = joined
        self.norm = nn.LayerNorm(width) if config.normalize else nn.Identity()
        width = width * joined
        projected = config.projector_width or width
        self.projector = nn.Linear(width, projected) if config.projector_width else nn.Identity()
        self.layers = nn.ModuleList()
        if config.kind == "bilstm":
            widths = [projected] + [2 * config.hidden] * config.num_layers
            self.layers.extend(Bidirectional(size, config.hidden) for size in widths[:-1])
            projected = widths[-1]
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(projected, num_classes)

    def num_steps(self, num_frames: int) -> int:
        """Steps that a sequence of `num_frames` frames gives."""
        return -(-num_frames // self.joined)

    def log_probs(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) of any precision, (B,) frames -> log probabilities (B, T', num_classes), (B,) steps."""
        scores, steps = self(x.to(self.output.weight.dtype), lengths)
        return scores.float().log_softmax(dim=-1), steps

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D), (B,) -> scores (B, T', num_classes), (B,) steps."""
        x, lengths = join_frames(self.norm(x), lengths, self.joined)
        lengths = lengths.to(x.device)
        x = self.projector(x)
        for layer in self.layers:
            x = self.dropout(layer(x, lengths))
        scores: Tensor = self.output(x)
        return scores, lengths
