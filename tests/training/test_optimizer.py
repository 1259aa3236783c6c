"""Learning rates over the steps, and what weight decay spares."""

from __future__ import annotations

import math
from typing import Any

import pytest
from toys.core import ToyTask

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.training.config import TrainerConfig
from audiossl.training.optimizer import build_optimizer, schedule_factor


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", [0.25, 0.5, 0.75, 1, 1] + [0.5 * (1 + math.cos(math.pi * k / 6)) for k in range(1, 6)]),
        ("inverse_sqrt", [0.25, 0.5, 0.75, 1] + [2 / math.sqrt(k) for k in range(5, 11)]),
    ],
)
def test_schedules(schedule: Any, expected: list[float]) -> None:
    config = TrainerConfig(steps=10, warmup_steps=4, schedule=schedule)
    assert [schedule_factor(config, step) for step in range(10)] == pytest.approx(expected)


def test_tri_stage_schedule() -> None:
    """Warm-up 2 of 12 steps, peak for a quarter (3), then from 1 to 1/128 in 7 steps: a half each."""
    config = TrainerConfig(steps=12, warmup_steps=2, schedule="tri_stage", hold_share=0.25, final_share=1 / 128)
    expected = [1 / 2, 1, 1, 1, 1, *(2.0**-n for n in range(7))]
    assert [schedule_factor(config, step) for step in range(12)] == pytest.approx(expected)
    late = TrainerConfig(steps=3, warmup_steps=100, schedule="tri_stage")
    assert [schedule_factor(late, step) for step in range(3)] == pytest.approx([0.01, 0.02, 0.03])
    with pytest.raises(ConfigError, match="hold_share=1.5"):
        TrainerConfig(hold_share=1.5)


def test_stable_decay_schedule() -> None:
    config = TrainerConfig(steps=10, warmup_steps=2, schedule="stable_decay", hold_share=0.4)
    expected = [1 / 2, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [schedule_factor(config, step) for step in range(10)] == pytest.approx(expected)


def test_a_task_with_nothing_to_train_is_refused() -> None:
    with pytest.raises(TrainingError, match="ToyTask has nothing to train"):
        build_optimizer(ToyTask().requires_grad_(False), TrainerConfig())


def test_weight_decay_spares_biases() -> None:
    groups = build_optimizer(ToyTask(), TrainerConfig(weight_decay=0.1, optimizer="adamw")).param_groups
    decays = {p.ndim: group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {2: 0.1, 1: 0.0}
