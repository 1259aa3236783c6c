"""Position convolutions: as many frames out as in, their formulas, and no trace of the padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audiossl.encoders.testing import relative_distance
from audiossl.nn.masking import valid_frames
from audiossl.nn.position import BatchNormPositionConv, PositionConv, StackedPositionConv

WIDTH, GROUPS = 12, 3


def conv_of(kind: str, kernel: int) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module
    if kind == "weight":
        made = PositionConv(WIDTH, kernel, GROUPS)
    elif kind == "batch":
        made = BatchNormPositionConv(WIDTH, kernel, GROUPS)
    else:
        made = StackedPositionConv(WIDTH, kernel, GROUPS, depth=2)
    with torch.no_grad():
        for tensor in made.parameters():
            tensor.add_(0.1 * torch.randn_like(tensor))
        for name, tensor in made.named_buffers():
            if "running" in name:
                tensor.add_(torch.rand_like(tensor))
    return made.eval()


@pytest.mark.parametrize("kernel", [8, 9])
@pytest.mark.parametrize("kind", ["weight", "batch", "layer"])
def test_a_padded_item_is_as_alone(kind: str, kernel: int) -> None:
    made = conv_of(kind, kernel)
    lengths = torch.tensor([17, 6])
    valid = valid_frames(lengths, 17)
    x = torch.where(valid[..., None], torch.randn(2, 17, WIDTH), 0.0)
    with torch.no_grad():
        together, alone = made(x, valid), made(x[1:, :6])
    assert together.shape == x.shape
    assert relative_distance(together[1:, :6], alone) < 1e-6


def test_the_weight_is_direction_at_length_scale() -> None:
    made = conv_of("weight", 8)
    assert isinstance(made, PositionConv)
    weight = made.weight()
    lengths = torch.linalg.vector_norm(weight, dim=(0, 1))
    assert torch.allclose(lengths, made.scale.flatten().abs(), atol=1e-6)
    torch_conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(WIDTH, WIDTH, 8, padding=4, groups=GROUPS), dim=2)
    state = {
        "bias": made.bias,
        "parametrizations.weight.original0": made.scale,
        "parametrizations.weight.original1": made.direction,
    }
    torch_conv.load_state_dict(state)
    x = torch.randn(1, 11, WIDTH)
    with torch.no_grad():
        expected = nn.functional.gelu(torch_conv(x.transpose(1, 2))[..., :-1]).transpose(1, 2)
        assert torch.allclose(made(x), expected, atol=1e-6)


def test_training_changes_the_folded_weight() -> None:
    made = conv_of("weight", 8)
    assert isinstance(made, PositionConv)
    with torch.no_grad():
        first = made.weight()
        assert made.weight() is first  # kept
    made.weight().square().sum().backward()
    assert made.direction.grad is not None
    with torch.no_grad():
        made.scale.mul_(2)
        assert torch.allclose(made.weight(), 2 * first)


def test_statistics_of_a_batch_norm_are_never_those_of_the_batch() -> None:
    made = conv_of("batch", 8)
    x = torch.randn(2, 9, WIDTH) + 5
    with torch.no_grad():
        before = made(x)
        assert torch.equal(made.train()(x), before)


@pytest.mark.parametrize("kind", ["weight", "batch", "layer"])
def test_bfloat16_stays_close(kind: str) -> None:
    """With 4 channels a group and 16 taps oneDNN has been wrong, see `audiossl.nn.convolution`."""
    single, half = conv_of(kind, 16), conv_of(kind, 16).to(torch.bfloat16)
    x: Tensor = torch.randn(1, 40, WIDTH)
    with torch.no_grad():
        assert relative_distance(half(x.to(torch.bfloat16)), single(x)) < 0.02


def test_a_pass_without_gradients_leaves_nothing_that_training_cannot_use() -> None:
    """What is folded in inference mode serves a later step, in which the convolution is frozen and its input trains."""
    conv = PositionConv(WIDTH, 4, GROUPS).requires_grad_(False)
    with torch.inference_mode():
        conv(torch.randn(1, 9, WIDTH))
    x = torch.randn(1, 9, WIDTH, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None
