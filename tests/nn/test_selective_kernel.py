"""SKA-TDNN's frames: a choice of kernels by hand, padding, sizes."""

from __future__ import annotations

import pytest
import torch
from toys.frame_layers import check_padding

from audiossl.core.errors import ConfigError
from audiossl.nn.selective_kernel import SelectiveKernels, SkaTdnnFrames, _Layer2d


def small() -> SkaTdnnFrames:
    torch.manual_seed(0)
    return SkaTdnnFrames(6, 8, 4, 16, 10)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_choice_of_kernels_by_hand(dim: int) -> None:
    """Of channels (dimension 1) or bands (2), one number after the other, for one item alone."""
    torch.manual_seed(0)
    size = (3, 5)[dim - 1]
    choice = SelectiveKernels([_Layer2d(3, 3, kernel) for kernel in (3, 5)], size, dim=dim, reduction=1).eval()
    x, length = torch.randn(1, 3, 5, 7), torch.tensor([7])
    made = [layer(x, length)[0] for layer in choice.layers]  # (3, 5, 7) each
    means = torch.stack([(made[0] + made[1]).select(dim - 1, number).mean() for number in range(size)])
    scores = choice.scores(choice.hidden(means).relu())
    found = choice(x, length)[0]
    for number in range(size):
        weights = torch.stack([scores[number], scores[size + number]]).softmax(dim=0)
        expected = sum(weight * each.select(dim - 1, number) for weight, each in zip(weights, made, strict=True))
        torch.testing.assert_close(found.select(dim - 1, number), expected)


def test_padding_changes_nothing_in_training_nor_later() -> None:
    check_padding(small, 6)


def test_sizes_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ConfigError, match="bands=6 must be a multiple of 4"):
        SkaTdnnFrames(6, 6, 4, 16, 10)
    with pytest.raises(ConfigError, match="channels=12 must be a multiple of 8"):
        SkaTdnnFrames(6, 8, 4, 12, 10)
