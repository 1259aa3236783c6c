"""Poolings and masks: padding never changes a result, one frame is enough, half precision stays accurate."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError
from audiossl.nn.masking import valid_frames
from audiossl.nn.pooling import POOLINGS, AttentionPooling, Pooling, make_pooling

WIDTH = 5


def pooling_of(name: str) -> Pooling:
    torch.manual_seed(0)
    return make_pooling(name, WIDTH)


def test_valid_frames_marks_exactly_the_first_frames() -> None:
    lengths = torch.tensor([0, 2, 4])
    assert valid_frames(lengths, 4).tolist() == [[False] * 4, [True, True, False, False], [True] * 4]
    assert valid_frames(lengths, 4).sum(dim=1).tolist() == lengths.tolist()


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("garbage", [0.0, 1e30, float("nan"), float("inf"), float("-inf")])
def test_a_batch_equals_its_items_whatever_the_padding_holds(name: str, garbage: float) -> None:
    pooling = pooling_of(name)
    lengths = torch.tensor([7, 1, 3])
    items = [torch.randn(1, int(length), WIDTH) for length in lengths]
    batch = torch.full((3, 9, WIDTH), garbage)
    for row, item in zip(batch, items, strict=True):
        row[: item.shape[1]] = item[0]
    alone = torch.cat([pooling(item, torch.tensor([item.shape[1]])) for item in items])
    torch.testing.assert_close(pooling(batch, lengths), alone)
    assert alone.shape == (3, pooling.out_width)


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_are_finite_zero_in_the_padding_and_reach_every_parameter(name: str) -> None:
    pooling = pooling_of(name)
    x = torch.randn(2, 4, WIDTH)
    x[0, 1:] = float("nan")
    x.requires_grad_()
    pooled = pooling(x, torch.tensor([1, 4]))
    pooled.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad[0, 1:] == 0).all()
    assert (x.grad[1] != 0).any()
    for parameter in pooling.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    if name == "attention":
        assert pooling.get_parameter("score.weight").grad.abs().sum() > 0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", POOLINGS)
def test_constant_frames_pool_to_themselves(name: str) -> None:
    x = torch.full((1, 6, WIDTH), 2.5)
    pooled = pooling_of(name)(x, torch.tensor([4]))
    torch.testing.assert_close(pooled[:, :WIDTH], torch.full((1, WIDTH), 2.5))


def test_statistics_are_the_mean_and_the_unbiased_deviation() -> None:
    x = torch.randn(2, 8, WIDTH)
    pooled = make_pooling("statistics", WIDTH)(x, torch.tensor([8, 5]))
    for row, length in zip(range(2), (8, 5), strict=True):
        torch.testing.assert_close(pooled[row, :WIDTH], x[row, :length].mean(dim=0))
        torch.testing.assert_close(pooled[row, WIDTH:], x[row, :length].std(dim=0))


def test_one_frame_has_deviation_zero() -> None:
    pooled = make_pooling("statistics", WIDTH)(torch.randn(1, 1, WIDTH), torch.tensor([1]))
    torch.testing.assert_close(pooled[:, WIDTH:], torch.zeros(1, WIDTH), atol=1e-4, rtol=0)


def test_attention_prefers_frames_with_higher_scores() -> None:
    pooling = pooling_of("attention")
    assert isinstance(pooling, AttentionPooling)
    x = torch.randn(1, 6, WIDTH)
    weights = pooling.score(x[0, :4]).softmax(dim=0)
    torch.testing.assert_close(pooling(x, torch.tensor([4])), (weights * x[0, :4]).sum(dim=0, keepdim=True))


def test_attentive_statistics_are_weighted_moments() -> None:
    """Item by item, frame by frame and channel by channel."""
    pooling = pooling_of("attentive_statistics")
    x = torch.randn(1, 6, WIDTH)
    frames = x[0, :4]
    summary = torch.cat([frames.mean(dim=0), frames.std(dim=0, correction=0)])
    scores = torch.stack([pooling.score(pooling.hidden(torch.cat([frame, summary])).tanh()) for frame in frames])
    expected = []
    for channel in range(WIDTH):
        weights = scores[:, channel].softmax(dim=0)
        mean = weights @ frames[:, channel]
        expected.append((mean, (weights @ (frames[:, channel] - mean).square()).sqrt()))
    pooled = pooling(x, torch.tensor([4]))
    torch.testing.assert_close(pooled[0], torch.cat(list(map(torch.stack, zip(*expected, strict=True)))))


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_as_good_as_rounding_the_result(name: str, dtype: torch.dtype) -> None:
    pooling = pooling_of(name)
    x = (torch.randn(2, 3000, WIDTH) + 40).to(dtype)  # the sum of 3000 frames is beyond float16
    lengths = torch.tensor([3000, 2000])
    pooled = pooling(x, lengths)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled.float(), pooling(x.float(), lengths).to(dtype).float())


@pytest.mark.parametrize("name", ["attention", "attentive_statistics"])
def test_autocast_gives_the_same_result(name: str) -> None:
    pooling = pooling_of(name)
    x, lengths = torch.randn(2, 50, WIDTH) * 10, torch.tensor([50, 20])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = pooling(x, lengths)
    torch.testing.assert_close(mixed, pooling(x, lengths))


def test_an_empty_item_stays_finite() -> None:
    for name in POOLINGS:
        assert pooling_of(name)(torch.zeros(1, 3, WIDTH), torch.tensor([0])).isfinite().all()


def test_unknown_pooling_names_the_closest() -> None:
    with pytest.raises(ConfigError, match="attention"):
        make_pooling("atention", WIDTH)
