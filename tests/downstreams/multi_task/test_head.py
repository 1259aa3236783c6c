"""What heads share."""

from __future__ import annotations

import torch

from audiossl.downstreams.multi_task.head import mean_scores, probabilities
from audiossl.downstreams.multi_task.numbers import NumberHead
from audiossl.downstreams.multi_task.target import Target


def test_scores_have_six_decimals() -> None:
    assert probabilities(torch.tensor([[1 / 3, 2 / 3]])) == [[0.333333, 0.666667]]
    assert mean_scores([[0.2, 0.8], [0.4, 0.6]]) == [0.3, 0.7]


def test_a_loss_is_over_what_is_known() -> None:
    head = NumberHead("x", Target("number", scale=1.0), 2)
    outputs, targets = torch.tensor([[1.0], [5.0]]), torch.tensor([3.0, 0.0])
    assert float(head.loss(outputs, targets, torch.tensor([True, False]))) == 4
    assert float(head.loss(outputs, targets, torch.tensor([False, False]))) == 0
    assert head.written(2.34567) == "2.346"
    assert head.facts() == {"kind": "number"}
