"""What every task has without writing it."""

from __future__ import annotations

import math

import pytest
import torch
from toys.core import ToyTask, toy_batches

from audiossl.core.errors import CheckpointError
from audiossl.training.task import Monitor


@pytest.mark.parametrize(
    ("mode", "new", "old", "better"),
    [
        ("max", 0.2, 0.1, True),
        ("max", 0.1, 0.1, False),
        ("min", 0.1, 0.2, True),
        ("min", 0.2, 0.1, False),
        ("min", math.inf, None, True),
        ("max", math.nan, None, False),
        ("min", math.nan, 0.1, False),
    ],
)
def test_what_is_better(mode: str, new: float, old: float | None, better: bool) -> None:
    assert Monitor("error", mode).better(new, old) == better  # type: ignore[arg-type]


def test_forward_is_the_loss_in_a_tuple() -> None:
    task, batch = ToyTask(dropout=0.0), next(toy_batches()(None, 0, 1))
    total, weight, logs = task(batch)
    loss = task.loss(batch)
    assert torch.equal(total, loss.total)
    assert (float(weight), logs.keys()) == (len(batch), loss.logs.keys())


def test_every_trainable_parameter_is_in_the_one_group() -> None:
    task = ToyTask()
    task.out.bias.requires_grad_(False)
    (group,) = task.parameter_groups()
    assert {id(parameter) for parameter in group.parameters} == {
        id(parameter) for name, parameter in task.named_parameters() if name != "out.bias"
    }
    assert (group.name, group.lr) == ("", None)


def test_weights_go_from_task_to_task_and_no_others() -> None:
    task, other = ToyTask(seed=0), ToyTask(seed=1)
    other.load_trainable_state(task.trainable_state())
    assert torch.equal(other.linear.weight, task.linear.weight)
    state = task.trainable_state()
    del state["out.bias"]
    with pytest.raises(CheckpointError, match=r"does not fit ToyTask\. missing: out\.bias"):
        other.load_trainable_state({**state})


def test_columns_show_what_fits_in_one() -> None:
    shown = ToyTask().columns({"id": "a", "error": 0.123456, "count": 3, "label": "x", "scores": [1.0], "none": None})
    assert shown == {"error": "0.1235", "count": "3", "label": "x"}
