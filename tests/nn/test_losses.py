"""Margin losses: as speechbrain has them, by hand, finite where cosines are 1 or -1, float32 under autocast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from audiossl.core.errors import ConfigError
from audiossl.nn.losses import LOSSES, MarginSoftmax, widened

WIDTH, CLASSES = 6, 4


def loss_of(kind: str, **options: Any) -> MarginSoftmax:
    torch.manual_seed(0)
    return MarginSoftmax(WIDTH, CLASSES, kind, **options)


@pytest.mark.parametrize("kind", ["am", "aam"])
@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5])
def test_margins_are_those_of_speechbrain(kind: str, margin: float) -> None:
    pytest.importorskip("speechbrain")
    from speechbrain.nnet.losses import AdditiveAngularMargin, AngularMargin, LogSoftmaxWrapper

    loss = loss_of(kind, margin=margin, scale=30.0)
    x, targets = torch.randn(50, WIDTH), torch.randint(0, CLASSES, (50,))
    theirs = {"am": AngularMargin, "aam": AdditiveAngularMargin}[kind](margin=margin, scale=30.0)
    expected = LogSoftmaxWrapper(theirs)(loss.scores(x)[:, None], targets[:, None])
    losses, scores = loss(x, targets)
    torch.testing.assert_close(losses.mean(), expected, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(scores, loss.scores(x))


def test_cosines_and_margins_by_hand() -> None:
    loss = loss_of("am", margin=0.4, scale=2.0)
    with torch.no_grad():
        loss.weight.copy_(3 * torch.eye(CLASSES, WIDTH))
    x = torch.tensor([[5.0, 5.0, 0.0, 0.0, 0.0, 0.0]])
    half = math.sqrt(0.5)
    torch.testing.assert_close(loss.scores(x), torch.tensor([[half, half, 0.0, 0.0]]))
    losses, _ = loss(x, torch.tensor([0]))
    expected = math.log(math.exp(2 * (half - 0.4)) + math.exp(2 * half) + 2) - 2 * (half - 0.4)
    assert losses.item() == pytest.approx(expected, rel=1e-5)


def test_a_widened_angle_is_the_cosine_of_the_sum_and_falls_all_the_way() -> None:
    angles = torch.linspace(0, math.pi, 101, dtype=torch.float64)
    found = widened(angles.cos(), 0.3)
    within = angles + 0.3 < math.pi - 1e-6
    torch.testing.assert_close(found[within], (angles[within] + 0.3).cos(), atol=1e-4, rtol=0)
    assert (found.diff() < 0).all()


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_are_finite_where_an_embedding_meets_its_class(kind: str, sign: float) -> None:
    loss = loss_of(kind, margin=0.2, scale=30.0)
    x = (sign * loss.weight.detach()).clone().requires_grad_()
    losses, _ = loss(x, torch.arange(CLASSES))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


def test_without_margin_am_is_the_scaled_cosine_softmax_and_softmax_is_a_linear_layer() -> None:
    x, targets = torch.randn(9, WIDTH), torch.randint(0, CLASSES, (9,))
    loss = loss_of("am", margin=0.0, scale=7.0)
    expected = functional.cross_entropy(7 * loss.scores(x), targets, reduction="none")
    torch.testing.assert_close(loss(x, targets)[0], expected)
    plain = loss_of("softmax")
    assert plain.bias is not None
    expected = functional.cross_entropy(x @ plain.weight.T + plain.bias, targets, reduction="none")
    torch.testing.assert_close(plain(x, targets)[0], expected)


@pytest.mark.parametrize("kind", LOSSES)
def test_autocast_and_large_scales_do_no_harm(kind: str) -> None:
    loss = loss_of(kind, margin=0.3, scale=1000.0)
    x, targets = torch.randn(20, WIDTH), torch.randint(0, CLASSES, (20,))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(x, targets)[0]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, loss(x, targets)[0])
    half = loss(x.bfloat16(), targets)[0]
    assert half.dtype == torch.float32
    assert half.isfinite().all()


def test_unknown_kinds_and_margins_are_errors() -> None:
    with pytest.raises(ConfigError, match="Did you mean aam"):
        loss_of("aamm")
    with pytest.raises(ConfigError, match="margin=-1"):
        loss_of("am", margin=-1.0)
    with pytest.raises(ConfigError, match="scale=0"):
        loss_of("aam", scale=0.0)


def by_hand(loss: MarginSoftmax, x: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """The loss of each item in numpy, by angles, one class after the other."""
    weight, found = loss.weight.detach().double().numpy(), []
    for row, target in zip(x.double().numpy(), targets.tolist(), strict=True):
        cosines = weight @ row / np.linalg.norm(weight, axis=1) / np.linalg.norm(row)
        angles = np.arccos(cosines.reshape(CLASSES, loss.sub_centers).max(axis=1))
        wrong = sorted((number for number in range(CLASSES) if number != target), key=lambda number: angles[number])
        moved = np.cos(angles)
        for number in wrong[: loss.top_k]:
            nearer = np.cos(angles[number]) + loss.top_k_margin, np.cos(angles[number] - loss.top_k_margin)
            moved[number] = nearer[loss.kind == "aam"]
        moved[target] = (np.cos(angles[target]) - loss.margin, np.cos(angles[target] + loss.margin))[loss.kind == "aam"]
        logits = loss.scale * moved
        found.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[target])
    return np.array(found)


@pytest.mark.parametrize("kind", ["am", "aam"])
@pytest.mark.parametrize(("sub_centers", "top_k"), [(3, 2), (1, 3), (3, 0)])
def test_sub_centres_and_nearest_classes_by_hand(kind: str, sub_centers: int, top_k: int) -> None:
    loss = loss_of(kind, sub_centers=sub_centers, top_k=top_k, margin=0.2, top_k_margin=0.06)
    assert loss.weight.shape == (CLASSES * sub_centers, WIDTH)
    x, targets = torch.randn(20, WIDTH), torch.randint(0, CLASSES, (20,))
    losses, scores = loss(x, targets)
    assert scores.shape == (20, CLASSES)
    np.testing.assert_allclose(losses.detach().numpy(), by_hand(loss, x, targets), rtol=1e-4, atol=1e-4)


def test_one_centre_and_no_nearest_class_are_the_plain_margin_bit_for_bit() -> None:
    plain, other = loss_of("aam"), loss_of("aam", sub_centers=1, top_k=0, top_k_margin=0.5)
    x, targets = torch.randn(20, WIDTH, requires_grad=True), torch.randint(0, CLASSES, (20,))
    made = []
    for loss in (plain, other):
        losses, scores = loss(x, targets)
        losses.sum().backward()
        made.append((losses, scores, loss.weight.grad))
    assert all(torch.equal(one, two) for one, two in zip(*made, strict=True))


def test_more_nearest_classes_than_wrong_ones_and_angles_of_softmax_are_errors() -> None:
    with pytest.raises(ConfigError, match="top_k=4: there are 4 classes, 3 of them wrong"):
        loss_of("aam", top_k=4)
    with pytest.raises(ConfigError, match="softmax has no angles"):
        loss_of("softmax", sub_centers=3)
    with pytest.raises(ConfigError, match="sub_centers=0"):
        loss_of("aam", sub_centers=0)
