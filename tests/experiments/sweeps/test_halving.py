"""Where members are compared, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments.config import read_experiment
from audiossl.experiments.sweeps.halving import Rung, cost_of, planned_rungs


def config_of(num_rates: int, budget: float, *more: str, steps: int = 1000, every: int = 10) -> Any:
    rates = ",".join(str(10.0**-place) for place in range(num_rates))
    own = [f"sweep.lr=[{rates}]", f"sweep.budget={budget}", f"trainer.steps={steps}", f"trainer.eval_every={every}"]
    return read_experiment(None, [*own, *more])


def test_the_cost_is_that_of_the_steps_which_are_made() -> None:
    """8 members to step 100, 4 to 200, 2 to 400 and one to 800: 800 + 400 + 400 + 400 steps."""
    assert cost_of([Rung(100, 4), Rung(200, 2), Rung(400, 1)], 8, 800) == 2000 / 800
    assert cost_of([], 5, 800) == 5


def test_rungs_of_a_budget_by_hand() -> None:
    """With q = 1/2, eight members cost 2.5 trainings; with less, a rung falls onto an earlier evaluation."""
    assert planned_rungs(config_of(8, 2.5, steps=800, every=100)) == [Rung(100, 4), Rung(200, 2), Rung(400, 1)]
    assert planned_rungs(config_of(2, 1.5, steps=100, every=10)) == [Rung(50, 1)]
    assert planned_rungs(config_of(2, 1.4999, steps=100, every=10)) == [Rung(40, 1)]


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("num_rates", [2, 3, 5, 9])
def test_a_budget_is_never_exceeded_and_nearly_spent(num_rates: int, keep: float) -> None:
    spent = []
    for budget in (1.2, 1.7, 2.0, 3.3, 6.0, 8.9):
        if budget >= num_rates:
            continue
        rungs = planned_rungs(config_of(num_rates, budget, f"sweep.keep={keep}"))
        steps, kept = [rung.step for rung in rungs], [num_rates, *(rung.kept for rung in rungs)]
        assert steps == sorted(set(steps))
        assert all(step % 10 == 0 and 0 < step < 1000 for step in steps)
        assert kept == sorted(set(kept), reverse=True)
        assert kept[-1] == 1
        spent.append(cost_of(rungs, num_rates, 1000))
        assert budget - 0.12 < spent[-1] <= budget  # a rung is at most an evaluation too early
    assert spent == sorted(spent)


def test_what_pays_for_all_compares_nobody() -> None:
    assert planned_rungs(config_of(3, 0)) == planned_rungs(config_of(3, 3)) == planned_rungs(config_of(3, 99)) == []
    assert planned_rungs(read_experiment(None)) == []


def test_each_seed_has_its_share() -> None:
    assert planned_rungs(config_of(4, 6, "sweep.seed=[0,1,2]")) == planned_rungs(config_of(4, 2))


def test_a_budget_that_is_too_small_says_how_much_is_needed() -> None:
    config = config_of(4, 1.2, "sweep.seed=[0,1]", steps=100, every=25)
    with pytest.raises(ConfigError, match=r"8 members .* each 25 steps .* of 100 cost 3\.5 full trainings at least"):
        planned_rungs(config)
    assert planned_rungs(config_of(4, 3.5, "sweep.seed=[0,1]", steps=100, every=25)) == [Rung(25, 1)]
    for every in (0, 100, 200):
        with pytest.raises(ConfigError, match="cost 4 full trainings at least; give that, or evaluate more often"):
            planned_rungs(config_of(4, 2, steps=100, every=every))
    with pytest.raises(ConfigError, match=r"sweep\.budget=2 has no members to be spent on"):
        read_experiment(None, ["sweep.budget=2"])
