"""A GroupNorm whose statistics leave padding out."""

from __future__ import annotations

import torch
from torch import nn

from audiossl.nn.group_norm import MaskedGroupNorm
from audiossl.nn.masking import valid_frames


def test_each_item_is_normalised_as_torch_normalises_it_alone() -> None:
    torch.manual_seed(0)
    for groups in (1, 2):
        ours, theirs = MaskedGroupNorm(groups, 6), nn.GroupNorm(groups, 6)
        with torch.no_grad():
            ours.weight.normal_()
            ours.bias.normal_()
        theirs.load_state_dict(ours.state_dict())
        x, lengths = torch.randn(3, 6, 9) + 2, torch.tensor([9, 4, 1])
        padded = torch.where(valid_frames(lengths, 9)[:, None], x, 7.0)
        found = ours(padded, valid_frames(lengths, 9))
        for row, made, length in zip(x, found, lengths.tolist(), strict=True):
            torch.testing.assert_close(made[:, :length], theirs(row[None, :, :length])[0])
        torch.testing.assert_close(ours(x), theirs(x))


def test_half_precision_stays_half_precision() -> None:
    x = torch.randn(1, 4, 5).bfloat16()
    assert MaskedGroupNorm(1, 4).bfloat16()(x, torch.ones(1, 5, dtype=torch.bool)).dtype == torch.bfloat16
