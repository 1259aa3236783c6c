"""Losses of numbers, by hand and against torch."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError
from audiossl.nn.regression import (
    clipped_squares,
    concordance_loss,
    contrastive_pairs,
    item_losses,
    known_mean,
)


def test_losses_of_single_errors() -> None:
    errors = torch.tensor([-3.0, 0.5, 0.0])
    assert item_losses("mse", errors).tolist() == [9.0, 0.25, 0.0]
    assert item_losses("l1", errors).tolist() == [3.0, 0.5, 0.0]
    assert item_losses("huber", errors, delta=2.0).tolist() == [4.0, 0.125, 0.0]
    with pytest.raises(ConfigError, match="no loss named 'ccc' of single numbers"):
        item_losses("ccc", errors)


def test_what_is_not_known_counts_for_nothing() -> None:
    known = torch.tensor([True, False, True])
    values = torch.tensor([1.0, float("nan"), 3.0], requires_grad=True)
    mean = known_mean(values, known)
    mean.backward()
    assert float(mean) == 2
    assert values.grad is not None
    assert values.grad.tolist() == [0.5, 0.0, 0.5]
    assert float(known_mean(values, torch.zeros(3, dtype=torch.bool)).detach()) == 0


def test_concordance_by_hand_and_of_one_item() -> None:
    """Predictions 2, 3, 4 of targets 1, 2, 3 have a CCC of 4 / 7."""
    known = torch.tensor([True, True, True, False])
    loss = concordance_loss(torch.tensor([2.0, 3.0, 4.0, 99.0]), torch.tensor([1.0, 2.0, 3.0, 0.0]), known)
    assert float(loss) == pytest.approx(1 - 4 / 7)
    one = torch.tensor([2.0], requires_grad=True)
    alone = concordance_loss(one, torch.tensor([1.0]), torch.tensor([True]))
    alone.backward()
    assert float(alone.detach()) == 1
    assert one.grad is not None
    assert float(one.grad) == 0
    equal = concordance_loss(torch.tensor([2.0, 2.0]), torch.tensor([2.0, 2.0]), torch.tensor([True, True]))
    assert float(equal) == 1


def test_small_errors_are_clipped_to_none() -> None:
    assert clipped_squares(torch.tensor([0.25, -0.26, 2.0]), 0.25).tolist() == pytest.approx([0.0, 0.0676, 4.0])


def test_pairs_as_the_published_loop_counts_them() -> None:
    """max(0, |(p_i - p_j) - (s_i - s_j)| - margin), over all ordered pairs, over two."""
    predicted, targets = torch.tensor([0.1, 0.9, -0.4]), torch.tensor([0.0, 1.0, 0.5])
    pairs = [
        max(0.0, abs(float(p - q) - float(s - t)) - 0.1)
        for p, s in zip(predicted, targets, strict=True)
        for q, t in zip(predicted, targets, strict=True)
    ]
    assert float(contrastive_pairs(predicted, targets, 0.1)) == pytest.approx(sum(pairs) / 9 / 2)
    assert float(contrastive_pairs(targets + 3, targets, 0.1)) == 0  # an offset is none of its business
