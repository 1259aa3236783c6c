"""The settings of stages: what a later one has of the one before, and what none may have."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments.config import Experiment, experiment_of, read_experiment
from audiossl.experiments.stages import stage_configs, with_task


def staged(**stages: object) -> Experiment:
    return experiment_of([{"task": {"margin": 0.2, "head": "ecapa"}, "stages": stages}], "configuration x.yaml")


def test_each_stage_lies_over_the_one_before() -> None:
    config = staged(second={"task": {"margin": 0.5}, "finetune": "all"}, third={"trainer": {"lr": 1e-5}})
    first, second, third = stage_configs(config)
    assert (first.task["margin"], first.finetune.mode) == (0.2, "none")
    assert (second.task, second.finetune.mode) == ({"margin": 0.5, "head": "ecapa"}, "all")
    assert (third.task, third.finetune.mode, third.trainer.lr) == (second.task, "all", 1e-5)
    assert not any(each.stages for each in (first, second, third))
    assert stage_configs(first) == [first]
    assert stage_configs(with_task(config, {"margin": 0.7}))[-1].task["margin"] == 0.7


def test_a_stage_can_be_changed_on_the_command_line() -> None:
    config = read_experiment(None, ["stages.second.trainer.steps=5", "stages.second.task.margin=0.5"])
    assert [each.trainer.steps for each in stage_configs(config)] == [2000, 5]


def test_what_a_stage_cannot_have_is_named() -> None:
    for stage, named in (
        ({"trainer": {"stepps": 5}}, "stage 'late': there is no key 'trainer.stepps'. Did you mean trainer.steps"),
        ({"upstream": "fbank"}, "stages.late sets upstream, which all stages share"),
        ({"stages": {}}, "stages.late sets stages"),
    ):
        with pytest.raises(ConfigError, match=named):
            stage_configs(staged(late=stage))
    with pytest.raises(ConfigError, match="'stages' is a list, and must be a mapping"):
        experiment_of([{"stages": [{"task": {}}]}], "configuration")
    with pytest.raises(ConfigError, match="cannot be had in a sweep"):
        stage_configs(read_experiment(None, ["stages.late.task.margin=0.5", "sweep.lr=[0.1,0.2]"]))
