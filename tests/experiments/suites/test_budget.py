"""What a budget is: trainings, or minutes that become trainings once."""

from __future__ import annotations

import json

import pytest
from toys.suites import ToySuite

from audiossl.core.errors import ConfigError
from audiossl.experiments.suites.budget import SearchBudget, kept_budgets, parse_budget, with_budget
from audiossl.experiments.suites.lockfile import read_lock, write_lock
from audiossl.experiments.suites.plan import Plan


def reckoned(plan: Plan, budget: SearchBudget) -> float:
    assert budget.seconds is not None
    return budget.seconds / 40


def never(plan: Plan, budget: SearchBudget) -> float:
    raise AssertionError("it is known already")


@pytest.mark.parametrize("text", ["", "soon", "-1", "0m", "10 m", "1e3", "m", "10s"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="give the full trainings that each search may cost, such as 2, or minutes"):
        parse_budget(text)


def test_trainings_are_what_they_are(toy: ToySuite) -> None:
    asked = with_budget(toy.asked(), parse_budget("2.5"), toy.results(), never, toy.lines.append)
    assert asked.budget == 2.5
    assert not toy.results().path.exists()
    assert toy.lines == []


def test_minutes_are_reckoned_once_and_kept(toy: ToySuite) -> None:
    folder, budget = toy.results(), parse_budget("2m")
    planned = with_budget(toy.asked(), budget, folder, reckoned, toy.lines.append, keep=False)
    assert planned.budget == 3.0
    assert not folder.path.exists()
    asked = with_budget(toy.asked(), budget, folder, reckoned, toy.lines.append)
    assert asked.budget == 3.0
    assert toy.lines[-1] == f"--budget 2m is 3 full trainings of each search, and stays so in {folder}."
    write_lock(asked, folder)
    later = with_budget(toy.asked("fbank"), budget, folder, never, toy.lines.append)
    assert later.budget == 3.0
    other = with_budget(toy.asked(), parse_budget("4m"), folder, reckoned, toy.lines.append)
    write_lock(other, folder)
    assert kept_budgets(folder) == {"2m": 3.0, "4m": 6.0}
    assert json.loads(folder.lock_path.read_text())["budget"] == 6.0
    assert read_lock(folder.path, None, toy.lines.append).budget == 6.0


def test_time_for_all_is_no_budget(toy: ToySuite) -> None:
    asked = with_budget(toy.asked(), parse_budget("1h"), toy.results(), lambda *_: 0.0, toy.lines.append)
    assert asked.budget == 0.0
    assert "is all that is tried, to the end" in toy.lines[-1]
