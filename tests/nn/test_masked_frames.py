"""Masked frames, gathered and padded."""

from __future__ import annotations

import torch

from audiossl.nn.masked_frames import locate, mean_over_frames, mean_square


def test_rows_and_padded_rows() -> None:
    mask = torch.tensor([[True, False, True, False], [False, False, True, False]])
    x = torch.arange(8.0).view(2, 4, 1)
    masked = locate(mask)
    rows = masked.rows(x)
    assert rows.flatten().tolist() == [0.0, 2.0, 6.0]
    assert masked.numbers == (2, 1)
    assert masked.valid.tolist() == [[True, True], [True, False]]
    assert masked.padded(rows)[..., 0].tolist() == [[0.0, 2.0], [6.0, 0.0]]


def test_an_item_without_any() -> None:
    masked = locate(torch.tensor([[False, False], [True, True]]))
    assert masked.padded(masked.rows(torch.ones(2, 2, 3))).sum(dim=(1, 2)).tolist() == [0.0, 6.0]
    assert masked.valid.tolist() == [[False, False], [True, True]]


def test_the_mean_square_counts_real_frames_and_items_by_what_is_masked() -> None:
    x = torch.tensor([[[1.0], [3.0], [9.0]], [[2.0], [2.0], [2.0]]])
    found = mean_square(x, torch.tensor([2, 3]), torch.tensor([1, 3]))
    assert float(found) == (1 * 5 + 3 * 4) / 4
    assert float(mean_square(x, torch.tensor([2, 3]), torch.tensor([0, 0]))) == 0


def test_a_mean_over_frames_leaves_padding_out_whatever_it_holds() -> None:
    x = torch.tensor([[1.0, 3.0, torch.nan], [2.0, 2.0, 5.0]])
    assert float(mean_over_frames(x, torch.tensor([2, 3]), torch.tensor([1, 3]))) == (1 * 2 + 3 * 3) / 4
