"""Predictions of whole streams of batches, from one task or several."""

from __future__ import annotations

import pytest
import torch
from toys.core import ToyTask, toy_dev

from audiossl.core.types import Batch
from audiossl.training.prediction import predict_all, predict_together
from audiossl.training.task import Prediction


def test_items_come_in_the_order_of_the_batches_in_eval_mode() -> None:
    task = ToyTask(dropout=0.9).train()
    found = predict_all(task, lambda: toy_dev(None, 0, 1))
    assert [row["id"] for row in found] == ["0", "1", "2", "3", "4"] * 2
    assert found == predict_all(task, lambda: toy_dev(None, 0, 1))  # no dropout
    assert task.training
    assert not predict_all(task.eval(), list) and not task.training


def test_several_tasks_read_the_batches_once_and_predict_as_if_alone() -> None:
    tasks = [ToyTask(seed=seed).train() for seed in (0, 1)]
    tasks[1].eval()
    batches = iter([*toy_dev(None, 0, 1)])  # can be read once
    found = predict_together(tasks, batches)
    assert found == [predict_all(task, lambda: toy_dev(None, 0, 1)) for task in tasks]
    assert found[0] != found[1]
    assert [task.training for task in tasks] == [True, False]


def test_no_graph_is_kept_and_a_failure_leaves_the_mode_as_it_was() -> None:
    class Failing(ToyTask):
        def predict(self, batch: Batch) -> list[Prediction]:
            assert not torch.is_grad_enabled()
            raise RuntimeError("no")

    task = Failing().train()
    for predict in (
        lambda: predict_all(task, lambda: toy_dev(None, 0, 1)),
        lambda: predict_together([task], toy_dev(None, 0, 1)),
    ):
        with pytest.raises(RuntimeError, match="no"):
            predict()
        assert task.training
