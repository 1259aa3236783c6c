"""Successive halving: members of a sweep that are behind on dev stop early, so that all cost no more than a budget.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016. Members train
side by side. At each of some evaluations (a rung) those that are ahead go on and the others stop, until one is left,
which is trained to the end. With M members, a share of them kept at each rung, and k rungs, these lie after the shares
q^k, ..., q^2, q of a full training. The budget decides q: the largest that it can pay for, as the longer members train
before they are compared, the surer the comparison is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from audiossl.core.errors import ConfigError

if TYPE_CHECKING:
    from audiossl.experiments.config import Experiment

_HALVINGS = 60  # of the interval in which q is searched: more than a float has digits


class Rung(NamedTuple):
    """An evaluation at which members are compared.

    step: after which it is.
    kept: how many members go on.
    """

    step: int
    kept: int


def planned_rungs(config: Experiment) -> list[Rung]:
    """The rungs of each search of a sweep. Each seed and each subset is a search of its own, with its share.

    Empty where there is no budget, or one for all to be trained to the end.
    Raises ConfigError for a budget that is too small.
    """
    sweep, trainer = config.sweep, config.trainer
    num_searches = max(len(sweep.seed), 1) * max(len(sweep.subset), 1)
    num_members = math.prod(map(len, sweep.axes.values())) // num_searches
    budget = sweep.budget / num_searches
    if not sweep.budget or budget >= num_members:
        return []
    kept = list(_kept(num_members, sweep.keep))
    every, steps = trainer.eval_every or trainer.steps, trainer.steps
    least = _placed(kept, 0.0, every, steps)
    if not least or cost_of(least, num_members, steps) > budget:
        needed = cost_of(least, num_members, steps) if least else num_members
        raise ConfigError(
            f"sweep.budget={sweep.budget:g} is too small: {num_members * num_searches} members that are compared at "
            f"each {every} steps (trainer.eval_every) of {steps} cost {needed * num_searches:.3g} full trainings at "
            f"least; give that, or evaluate more often."
        )
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = cost_of(_placed(kept, middle, every, steps), num_members, steps) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return _placed(kept, low, every, steps)


def cost_of(rungs: Iterable[Rung], num_members: int, steps: int) -> float:
    """What the members of a search cost at most, in full trainings.

    >>> cost_of([Rung(100, 2), Rung(200, 1)], num_members=4, steps=400)
    2.0
    """
    total, running, before = 0, num_members, 0
    for rung in rungs:
        total += running * (rung.step - before)
        running, before = rung.kept, rung.step
    return (total + running * (steps - before)) / steps


def _kept(num_members: int, share: float) -> Iterator[int]:
    """How many go on at each rung: the share of those before, at least one fewer, at last one.

    >>> list(_kept(8, 0.5)), list(_kept(5, 0.5)), list(_kept(3, 0.9))
    ([4, 2, 1], [3, 2, 1], [2, 1])
    """
    while num_members > 1:
        num_members = min(num_members - 1, math.ceil(num_members * share))
        yield num_members


def _placed(kept: list[int], ratio: float, every: int, steps: int) -> list[Rung]:
    """Rungs at evaluations: number i of k at or before the share ratio^(k + 1 - i) of all steps, or at the first.

    Of rungs at the same evaluation one is left. Empty where no evaluation comes before the last step.
    """
    last = (steps - 1) // every
    if not last:
        return []
    rungs: dict[int, Rung] = {}
    for place, count in enumerate(kept):
        share = ratio ** (len(kept) - place)
        step = every * min(max(int(share * steps / every), 1), last)
        rungs[step] = Rung(step, count)
    return list(rungs.values())
