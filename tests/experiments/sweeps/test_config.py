"""What a sweep is over."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments.sweeps.config import SweepConfig, choice_of, value_text


def test_axes_are_those_with_values_in_the_order_of_names() -> None:
    sweep = SweepConfig(lr=[0.1, 0.2], finetune=["none", "all"], adversary=[0.0, 1.0, 2.0])
    assert list(sweep.axes) == ["finetune", "adversary", "lr"]
    assert sweep.num_members == 12
    assert SweepConfig().axes == {}


def test_a_choice_is_a_name_and_what_is_beside_it() -> None:
    assert choice_of("finetune", {"mode": "top_k", "top_k": 2}) == ("top_k", {"top_k": 2})
    assert value_text(None) == "none"
    for wrong, said in (([3], "has 3"), ([{"top_k": 2}], "has {'top_k': 2}")):
        with pytest.raises(ConfigError, match="sweep.finetune " + said):
            SweepConfig(finetune=wrong)
    with pytest.raises(ConfigError, match=r"sweep.adversary\[0\]=-1"):
        SweepConfig(adversary=[-1.0])


def test_axes_that_are_given_make_the_members() -> None:
    swept = SweepConfig(seed=[0, 1], interface=["layer", {"name": "layer", "index": 3}])
    assert list(swept.axes) == ["interface", "seed"]
    assert swept.num_members == 4
    assert SweepConfig().axes == {}


def test_a_value_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="sweep.seed has 1 twice; leave one of them out"):
        SweepConfig(seed=[1, 1])
