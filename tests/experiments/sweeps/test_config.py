"""What a sweep is over."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments.sweeps.config import SweepConfig


def test_axes_that_are_given_make_the_members() -> None:
    swept = SweepConfig(seed=[0, 1], interface=["layer", {"name": "layer", "index": 3}])
    assert list(swept.axes) == ["interface", "seed"]
    assert swept.num_members == 4
    assert SweepConfig().axes == {}


def test_a_value_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="sweep.seed has 1 twice; leave one of them out"):
        SweepConfig(seed=[1, 1])
