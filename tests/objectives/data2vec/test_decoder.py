"""The convolutional decoder."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from audiossl.core.errors import ConfigError
from audiossl.nn.masking import valid_frames
from audiossl.objectives.data2vec.decoder import ConvDecoder


def test_it_is_the_published_stack_on_each_item_alone() -> None:
    torch.manual_seed(0)
    decoder, x, frames = ConvDecoder(8, 12, 3, 5, 4), torch.randn(2, 9, 8), torch.tensor([9, 6])
    x[1, 6:] = torch.inf
    made = decoder(x, valid_frames(frames, 9))
    for item, count in enumerate(frames.tolist()):
        alone = x[item : item + 1, :count].transpose(1, 2)
        for conv in decoder.convs:
            assert isinstance(conv, nn.Conv1d)
            told = F.gelu(F.layer_norm(conv(alone).transpose(1, 2), (12,))).transpose(1, 2)
            alone = told + alone if told.shape == alone.shape else told
        torch.testing.assert_close(made[item, :count], decoder.project(alone.transpose(1, 2))[0])


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="decoder_kernel=4 must be odd"):
        ConvDecoder(8, 12, 3, 4, 4)
    with pytest.raises(ConfigError, match="decoder_groups=3 must divide the encoder's width of 8"):
        ConvDecoder(8, 12, 3, 5, 3)
