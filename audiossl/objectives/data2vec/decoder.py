"""The convolutional decoder of data2vec 2.0 (arXiv:2212.07525, section 3.1), which fills in what was not encoded."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.convolution import convolve


class ConvDecoder(nn.Module):
    """`num_layers` grouped convolutions, each with a layer norm without parameters and GELU, then a linear layer.

    width: D of input and output.
    hidden: channels between.
    num_layers: of convolutions. Each but the first, where the widths differ, is added to its input.
    kernel: frames that each sees, an odd number.
    groups: of channels that are kept apart.
    """

    def __init__(self, width: int, hidden: int, num_layers: int, kernel: int, groups: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ConfigError(f"decoder_kernel={kernel} must be odd, so that it has a middle.")
        if width % groups or hidden % groups:
            raise ConfigError(
                f"decoder_groups={groups} must divide the encoder's width of {width} and decoder_width={hidden}."
            )
        self.convs = nn.ModuleList(
            nn.Conv1d(width if number == 0 else hidden, hidden, kernel, padding=kernel // 2, groups=groups)
            for number in range(num_layers)
        )
        self.project = nn.Linear(hidden, width)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D). valid (B, T): real frames, beyond which x is taken as zero, from layer to layer."""
        inside, zero = valid[..., None], x.new_zeros(())
        x = torch.where(inside, x, zero)
        for each in self.convs:
            conv = cast(nn.Conv1d, each)
            padding = cast(int, conv.padding[0])
            made = convolve(x.transpose(1, 2), conv.weight, conv.bias, padding=padding, groups=conv.groups)
            made = F.gelu(F.layer_norm(made.transpose(1, 2), (conv.out_channels,)))
            made = made + x if made.shape == x.shape else made
            x = torch.where(inside, made, zero)
        decoded: Tensor = self.project(x)
        return decoded
