"""The head's reach, and the poolings by hand."""

from __future__ import annotations

import pytest
import torch

from audiossl.downstreams.bioacoustic_events.heads import POOLINGS, EventHead, first_bias, pooled


def test_a_logit_depends_on_the_frames_within_reach_and_on_no_other() -> None:
    torch.manual_seed(0)
    head = EventHead(4, 2, hidden=6, num_layers=3, attention=True).eval()
    assert head.reach == 2 * (1 + 2 + 4)
    x = torch.randn(1, 60, 4, requires_grad=True)
    logits, attention = head(x, torch.tensor([60]))
    (gradient,) = torch.autograd.grad(logits[0, 30].sum(), x)
    touched = gradient[0].abs().sum(-1).nonzero().flatten()
    assert (int(touched[0]), int(touched[-1])) == (30 - head.reach, 30 + head.reach)
    assert attention is not None
    assert attention.shape == logits.shape == (1, 60, 2)
    assert EventHead(4, 2, num_layers=0, normalize=True)(x, torch.tensor([60]))[0].shape == (1, 60, 2)


@pytest.mark.parametrize("kind", POOLINGS)
def test_poolings_by_hand(kind: str) -> None:
    p = torch.tensor([0.2, 0.5, 0.9])
    weights = torch.tensor([1.0, 2.0, 0.5]).softmax(0)
    expected = {
        "max": 0.9,
        "linear_softmax": float((p**2).sum() / p.sum()),
        "attention": float((weights * p).sum()),
        "noisy_or": 1 - 0.8 * 0.5 * 0.1,
    }
    padded = torch.cat([p.logit(), torch.tensor([9.0, torch.nan])])[None, :, None]
    attention = torch.tensor([1.0, 2.0, 0.5, 50.0, torch.nan])[None, :, None]
    padded.requires_grad_()
    found = pooled(kind, padded, attention, torch.tensor([3]))
    assert found.item() == pytest.approx(expected[kind], abs=1e-6)
    found.sum().backward()
    assert padded.grad is not None
    assert padded.grad[0, 3:].tolist() == [[0.0], [0.0]]
    assert padded.grad[0, :3].abs().sum() > 0


def test_frames_begin_so_that_recordings_have_their_share() -> None:
    for kind in POOLINGS:
        logits = torch.full((1, 50, 1), first_bias(kind, 0.3, 50))
        assert pooled(kind, logits, torch.zeros(1, 50, 1), torch.tensor([50])).item() == pytest.approx(0.3, abs=1e-5)
    assert torch.tensor(first_bias("", 0.02, 50)).sigmoid().item() == pytest.approx(0.02)
