"""Distractors and InfoNCE within an utterance."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from audiossl.nn.contrast import contrastive_logits, contrastive_losses, draw_distractors, same_codes
from audiossl.nn.draws import keyed_generator


def test_distractors_are_uniform_over_the_other_targets_of_the_item() -> None:
    counts = [4, 6]
    made = draw_distractors(counts, 6000, [keyed_generator(name) for name in "ab"])
    assert made.shape == (2, 6, 6000)
    for item, count in enumerate(counts):
        for target in range(count):
            shares = made[item, target].bincount(minlength=6) / 6000
            expected = [0.0 if other == target or other >= count else 1 / (count - 1) for other in range(6)]
            assert shares.tolist() == pytest.approx(expected, abs=0.03)


def test_distractors_of_an_item_do_not_depend_on_the_batch() -> None:
    both = draw_distractors([4, 6], 10, [keyed_generator("a"), keyed_generator("b")])
    assert torch.equal(both[:1, :4], draw_distractors([4], 10, [keyed_generator("a")]))


def test_losses_are_those_of_the_equation() -> None:
    torch.manual_seed(0)
    predictions, targets = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    codes = torch.randint(2, (2, 5, 2))
    distractors = draw_distractors([5, 3], 7, [keyed_generator(0), keyed_generator(1)])
    logits = contrastive_logits(predictions, targets, distractors, same_codes(codes), 0.1)
    losses, won = contrastive_losses(logits)
    for item, frame in [(0, 0), (0, 4), (1, 1), (1, 2)]:
        others = [int(n) for n in distractors[item, frame] if (codes[item, n] != codes[item, frame]).any()]
        cosines = F.cosine_similarity(predictions[item, frame][None], targets[item, [frame, *others]])
        expected = -F.log_softmax(cosines / 0.1, dim=0)[0]
        assert float(losses[item, frame]) == pytest.approx(float(expected), rel=1e-5, abs=1e-6)
        assert bool(won[item, frame]) == (len(others) > 0 and int(cosines.argmax()) == 0)


def test_a_single_target_has_nothing_to_be_told_from() -> None:
    x = torch.randn(1, 1, 4, requires_grad=True)
    logits = contrastive_logits(x, x.detach(), draw_distractors([1], 3, [keyed_generator(0)]), None, 0.1)
    losses, won = contrastive_losses(logits)
    losses.sum().backward()
    assert float(losses.detach()) == pytest.approx(0)
    assert not bool(won)
    assert bool((logits[..., 1:] == -math.inf).all())
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
