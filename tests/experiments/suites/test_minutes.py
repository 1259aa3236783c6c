"""Full trainings from minutes."""

from __future__ import annotations

import pytest
from toys.suites import SUITE, TASK, TERA, ToySuite

from audiossl.core.errors import ConfigError
from audiossl.experiments.suites import forecast, speeds
from audiossl.experiments.suites.budget import parse_budget
from audiossl.experiments.suites.minutes import trainings_in
from audiossl.experiments.suites.plan import Plan
from audiossl.experiments.suites.speeds import remember_run

STEPS = {"trainer": {"steps": 600, "eval_every": 60}}


@pytest.fixture
def plan(toy: ToySuite, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A task with four learning rates and one without a search. A training takes a minute, of which 5 s to begin."""
    monkeypatch.setattr(speeds, "encoding_speed", lambda upstream: (0.1, 0.5))
    monkeypatch.setattr(forecast, "reading_speed", lambda: 0.0)
    searched = {**TASK, "search": {"lr": [0.1, 0.03, 0.01, 0.003]}}
    toy.write({**SUITE, "tasks": {"toy/words": searched, "toy/folds": {**TASK, "settings": {"folds": {"by": ""}}}}})
    made = toy.plan(toy.asked("log_mel", TERA, only=(), over=STEPS))
    for cell in made.cells:
        remember_run(cell.task, cell.config, 5.0 + 55.0 * cell.config.sweep.num_members, 0.0)
    return made


def test_as_many_as_there_is_time_for(plan: Plan) -> None:
    # 65 s whatever the search costs, and 55 s for each full training.
    assert trainings_in(plan, parse_budget("3.6m")) == 2.7
    assert trainings_in(plan, parse_budget("5m")) == 0.0  # 4 trainings: all


def test_too_little_time_is_said_with_what_is_needed(plan: Plan) -> None:
    with pytest.raises(ConfigError, match=r"--budget 1m is too short: the heads of an encoder take about 2\.\d min"):
        trainings_in(plan, parse_budget("1m"))
