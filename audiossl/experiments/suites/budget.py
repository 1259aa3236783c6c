"""What `--budget` stands for: full trainings that each search may cost, or minutes that become such a number once.

Minutes are those of all heads of one encoder, one after another, on the machine that asks first. Hidden states are
encoded beside them. One number of full trainings is made of them (`audiossl.experiments.suites.minutes`), the same for
every task and encoder, and suite.json keeps it: another day, another machine or one encoder more may be faster or
slower, and the same words then still ask for the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from audiossl.core.errors import ConfigError
from audiossl.core.files import open_no_link, read_json, write_json
from audiossl.core.locks import lock_file
from audiossl.core.outputs import check_out
from audiossl.experiments.suites.plan import Asked, Plan, make_plan
from audiossl.experiments.suites.results import ResultsFolder

_UNITS = {"m": 60.0, "h": 3600.0}


class SearchBudget(NamedTuple):
    """What a user typed for a budget.

    text: it.
    trainings: full trainings that each search may cost. 0 for all that is tried.
    seconds: that all heads of an encoder may take. None where trainings were named.
    """

    text: str
    trainings: float = 0.0
    seconds: float | None = None


def parse_budget(text: str) -> SearchBudget:
    """A budget from what a user typed. Raises ConfigError.

    >>> parse_budget("2.5").trainings, parse_budget("10m").seconds, parse_budget("1.5h").seconds
    (2.5, 600.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mh]?)", text.strip())
    if not found or (found[2] and not float(found[1])):
        raise ConfigError(
            f"--budget {text}: give the full trainings that each search may cost, such as 2, or minutes for all heads "
            f"of an encoder, such as 10m."
        )
    number, unit = float(found[1]), found[2]
    return SearchBudget(text.strip(), seconds=number * _UNITS[unit]) if unit else SearchBudget(text.strip(), number)


def with_budget(
    asked: Asked,
    budget: SearchBudget,
    folder: ResultsFolder,
    reckon: Callable[[Plan, SearchBudget], float],
    say: Callable[[str], None],
    *,
    keep: bool = True,
) -> Asked:
    """What a user asked for, with the number of full trainings that the budget comes to.

    asked: all else.
    budget: as it was typed.
    folder: of the results. Its suite.json may know what the minutes are.
    reckon: what makes a number of full trainings of minutes, where nobody has (`minutes.trainings_in`).
    say: gets a line where minutes are made into trainings.
    keep: whether suite.json is to have that number from now on. Nothing is written without.
    Raises ConfigError where the minutes are too few.
    """
    if budget.seconds is None:
        return asked._replace(budget=budget.trainings)
    if not keep:
        return _resolved(asked, budget, folder, reckon, say)
    check_out(folder.path, "folder")
    folder.path.mkdir(parents=True, exist_ok=True)
    # Shares of one suite may begin at the same time, on machines of which one is faster.
    with open(folder.path / ".lock-budget", "a", encoding="utf-8", opener=open_no_link) as file:
        lock_file(file)
        found = _resolved(asked, budget, folder, reckon, say)
        said = read_json(folder.lock_path) if folder.lock_path.is_file() else {}
        if kept_budgets(folder).get(budget.text) != found.budget:
            write_json(folder.lock_path, {**said, "budgets": {**kept_budgets(folder), budget.text: found.budget}})
    return found


def kept_budgets(folder: ResultsFolder) -> dict[str, float]:
    """The full trainings that minutes have become in a results folder, by what was typed."""
    said = read_json(folder.lock_path) if folder.lock_path.is_file() else {}
    return {str(text): float(number) for text, number in dict(said.get("budgets") or {}).items()}


def _resolved(
    asked: Asked,
    budget: SearchBudget,
    folder: ResultsFolder,
    reckon: Callable[[Plan, SearchBudget], float],
    say: Callable[[str], None],
) -> Asked:
    number = kept_budgets(folder).get(budget.text)
    if number is None:
        number = reckon(make_plan(asked, folder), budget)
        much = f"{number:g} full trainings of each search" if number else "all that is tried, to the end"
        say(f"--budget {budget.text} is {much}, and stays so in {folder}.")
    return asked._replace(budget=number)
