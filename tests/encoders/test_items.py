"""Items of several lengths as a batch."""

from __future__ import annotations

import torch

from audiossl.encoders.items import join_items


def test_items_are_filled_up_with_zeros() -> None:
    one, other = [torch.ones(1, 2, 4), torch.ones(1, 2, 8)], [torch.ones(1, 3, 4), torch.ones(1, 3, 8)]
    first, second = join_items([one, other], 4)
    assert (first.shape, second.shape) == ((2, 4, 4), (2, 4, 8))
    assert first.sum(dim=(1, 2)).tolist() == [8, 12]
    assert join_items([one], 2)[0] is one[0]
