"""A function of frames in chunks is that of all frames at once, in values and gradients."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.chunks import by_chunks


@pytest.mark.parametrize("chunk_frames", [1, 3, 10, 100])
def test_chunks_change_neither_values_nor_gradients(chunk_frames: int) -> None:
    torch.manual_seed(0)
    layers, mix = [torch.randn(2, 5, 4), torch.randn(2, 5, 3)], nn.Linear(7, 6)
    sizes = []

    def fuse(states: Sequence[Tensor]) -> Tensor:
        sizes.append(len(states[0]))
        output: Tensor = mix(torch.cat(list(states), dim=-1)).tanh()
        return output

    expected = fuse([layer.flatten(0, 1) for layer in layers]).view(2, 5, 6)
    (wanted,) = torch.autograd.grad(expected.square().sum(), mix.weight)
    sizes.clear()
    result = by_chunks(fuse, layers, chunk_frames)
    assert max(sizes) <= chunk_frames
    (found,) = torch.autograd.grad(result.square().sum(), mix.weight)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(found, wanted)


def test_less_than_a_frame_is_an_error() -> None:
    with pytest.raises(ConfigError, match="chunk_frames=0"):
        by_chunks(lambda states: states[0], [torch.zeros(1, 1, 1)], 0)
