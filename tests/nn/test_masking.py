"""Which frames of a padded batch are real."""

from __future__ import annotations

import torch

from audiossl.nn.masking import valid_frames


def test_a_frame_is_real_before_its_item_ends() -> None:
    lengths = torch.tensor([0, 1, 5, 9])
    valid = valid_frames(lengths, 5)
    assert valid.dtype == torch.bool
    assert valid.shape == (4, 5)
    assert valid.sum(1).tolist() == [0, 1, 5, 5]
    assert bool((valid[:, :-1] | ~valid[:, 1:]).all())  # no real frame after one that is not


def test_no_items() -> None:
    assert valid_frames(torch.zeros(0, dtype=torch.int64), 3).shape == (0, 3)
