"""How many full trainings each search may cost, so that all heads of an encoder take no more than some minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audiossl.core.errors import ConfigError
from audiossl.experiments.config import Experiment
from audiossl.experiments.suites.budget import SearchBudget
from audiossl.experiments.suites.forecast import HeadCost, forecast
from audiossl.experiments.suites.plan import Plan
from audiossl.experiments.suites.recipes import within_budget
from audiossl.experiments.sweeps.halving import planned_rungs

_GRID = 10  # parts of a full training


def trainings_in(plan: Plan, budget: SearchBudget) -> float:
    """Full trainings that each search may cost, so that the heads of no encoder take longer than a budget.

    plan: without a budget.
    budget: of minutes.
    Returns 0 where there is time for all. Raises ConfigError where there is not even time for the shortest searches.
    """
    heads: dict[str, list[HeadCost]] = {}
    for head in forecast(plan).heads:
        heads.setdefault(head.cell.encoder.choice.label, []).append(head)
    seconds = budget.seconds or 0.0
    if _slowest(heads.values(), 0.0) <= seconds:
        return 0.0
    configs = [head.cell.config for group in heads.values() for head in group]
    most = max(config.sweep.num_members for config in configs)
    possible = [number / _GRID for number in range(_GRID, most * _GRID) if _allows(configs, number / _GRID)]
    # The most that fit: more trainings take longer.
    low, high = 0, len(possible)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _slowest(heads.values(), possible[middle]) <= seconds else (low, middle)
    if not low:
        least = _slowest(heads.values(), possible[0] if possible else 0.0)
        raise ConfigError(
            f"--budget {budget.text} is too short: the heads of an encoder take about {least / 60:.1f} minutes here at "
            f"least; give that, or choose tasks with --only."
        )
    return possible[low - 1]


def _slowest(groups: Iterable[Sequence[HeadCost]], trainings: float) -> float:
    """Seconds of the heads of that encoder whose heads take the longest."""
    return max((sum(head.seconds(trainings)[0] for head in group) for group in groups), default=0.0)


def _allows(configs: Sequence[Experiment], trainings: float) -> bool:
    """Whether each search can be cut to so many full trainings."""
    try:
        for config in configs:
            planned_rungs(within_budget(config, trainings))
    except ConfigError:
        return False
    return True
