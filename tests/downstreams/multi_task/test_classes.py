"""Heads of classes and levels."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError, LabelError
from audiossl.downstreams.multi_task.classes import ClassHead, OrdinalHead
from audiossl.downstreams.multi_task.target import Target


def test_levels_are_sorted_as_numbers_and_named_ones_as_given() -> None:
    assert OrdinalHead.complete(Target("ordinal"), ["10", "2", "1"]).labels == ["1", "2", "10"]
    given = Target("ordinal", labels=["low", "mid", "high"])
    assert OrdinalHead.complete(given, ["high"]).labels == ["low", "mid", "high"]
    with pytest.raises(LabelError, match="give labels from the lowest to the highest"):
        OrdinalHead.complete(Target("ordinal"), ["low", "high"])


def test_the_loss_of_a_level_is_that_of_its_thresholds() -> None:
    head = OrdinalHead("step", Target("ordinal", labels=["1", "2", "3"]), 4)
    logits = torch.tensor([[2.0, -1.0]])
    expected = torch.nn.functional.softplus(torch.tensor([-2.0, -1.0])).sum()  # above 1, and not above 2
    torch.testing.assert_close(head.item_losses(logits, torch.tensor([1.0])), expected[None])


def test_scores_of_levels_sum_to_one_and_the_median_is_predicted() -> None:
    head = OrdinalHead("step", Target("ordinal", labels=["1", "2", "3"]), 4)
    crossed = torch.tensor([[3.0, -3.0], [-2.0, 2.0], [3.0, 2.0]])
    scores = head.scores(crossed)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(3))
    assert bool((scores >= 0).all())
    assert [value for value, _ in head.predictions(crossed)] == ["2", "1", "3"]
    at_first = head.scores(head.thresholds.detach()[None])
    torch.testing.assert_close(at_first, torch.full((1, 3), 1 / 3))


def test_errors_of_classes_and_levels() -> None:
    step = OrdinalHead("step", Target("ordinal", labels=["1", "2", "3"]), 4)
    assert [step.error("1", value) for value in ("1", "2", "3")] == [0, 0.5, 1]
    pitch = ClassHead("pitch", Target(labels=["a", "b"]), 4)
    assert [pitch.error("a", value) for value in "ab"] == [0, 1]
    assert pitch.united(["a", "b"], [[0.9, 0.1], [0.3, 0.7]]) == ("a", [0.6, 0.4])
    with pytest.raises(LabelError, match=r"'c', which is none of its 2 classes of training \(a, b\)"):
        pitch.number_of("c")
    with pytest.raises(ConfigError, match="there must be two"):
        ClassHead("pitch", Target(labels=["a"]), 4)
