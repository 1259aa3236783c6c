"""Views of an utterance, and the contrast between them."""

from __future__ import annotations

import math

import pytest
import torch
from toys.tera import draw, speech_like

from audiossl.objectives.tera.views import contrastive_loss, random_view


def test_contrastive_loss_equals_its_formula() -> None:
    means, temperature = torch.randn(6, 5, generator=draw(0)), 0.3
    unit = means / means.norm(dim=1, keepdim=True)
    terms = []
    for n in range(6):
        exponents = {m: float(((unit[n] @ unit[m]) / temperature).exp()) for m in range(6) if m != n}
        terms.append(-math.log(exponents[(n + 3) % 6] / sum(exponents.values())))
    assert float(contrastive_loss(means, temperature)) == pytest.approx(sum(terms) / 6, rel=1e-5)
    assert float(contrastive_loss(means[:2], temperature)) == 0.0


def test_parts_of_one_utterance_are_not_told_apart() -> None:
    means = torch.randn(6, 5, generator=draw(0))
    assert float(contrastive_loss(means, 0.3, ["a", "b", "c"])) == float(contrastive_loss(means, 0.3))
    unit = means / means.norm(dim=1, keepdim=True)
    others = {0: [2, 5], 1: [2, 5], 2: [0, 1, 3, 4], 3: [2, 5], 4: [2, 5], 5: [0, 1, 3, 4]}
    terms = []
    for n, rows in others.items():
        own = math.exp(float(unit[n] @ unit[(n + 3) % 6]) / 0.3)
        rest = sum(math.exp(float(unit[n] @ unit[m]) / 0.3) for m in rows)
        terms.append(-math.log(own / (own + rest)))
    assert float(contrastive_loss(means, 0.3, ["a", "a", "c"])) == pytest.approx(sum(terms) / 6, rel=1e-5)
    assert float(contrastive_loss(means, 0.3, ["a", "a", "a"])) == 0.0


def test_a_view_is_a_part_under_one_smooth_curve() -> None:
    x = speech_like(100)
    kept = set()
    for seed in range(200):
        view = random_view(x, 0.5, 0.5, draw(seed))
        starts = range(100 - len(view) + 1)
        (first,) = [s for s in starts if float((view - x[s : s + len(view)]).std(0).max()) < 1e-5]
        curve = (view - x[first : first + len(view)]).mean(0)
        assert int((curve.diff().diff().abs() > 1e-5).sum()) <= 6  # straight but for three bends, each between bands
        kept.add(len(view))
    assert min(kept) in range(50, 54)
    assert max(kept) in range(97, 101)
    assert torch.equal(random_view(x[:20], 0.5, 0.0, draw(0)), x[:20])  # too short to be cut
    capped = {len(random_view(x, 0.5, 0.5, draw(seed), 60)) for seed in range(200)}
    assert (min(capped), max(capped)) == (30, 60)
