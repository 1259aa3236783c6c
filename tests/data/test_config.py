"""Settings of the loader: which are refused, and how much a batch may hold."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.data.config import LoaderConfig


@pytest.mark.parametrize(
    "options",
    [{"batch_size": None}, {"batch_size": 0}, {"max_duration_s": -1.0}, {"num_workers": -1}, {"max_crop_s": 0.0}],
)
def test_settings_that_make_no_sense(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        LoaderConfig(**options)


@pytest.mark.parametrize("name", ["min_duration_s", "max_duration_s", "max_crop_s"])
def test_a_duration_that_is_no_number_is_refused(name):
    with pytest.raises(ConfigError, match=rf"data\.{name}=nan must"):
        LoaderConfig(**{name: float("nan")})


def test_speeds_are_near_one():
    with pytest.raises(ConfigError, match=r"data\.speeds\[1\]=11 must be from 0\.5 to 2"):
        LoaderConfig(speeds=[0.9, 11])


def test_a_batch_is_limited_by_rows_and_by_seconds_with_padding():
    both = LoaderConfig(batch_size=4, max_duration_s=10)
    assert both.fits(4, 2.5) and not both.fits(5, 1.0) and not both.fits(4, 2.6)
    assert LoaderConfig(batch_size=None, max_duration_s=10).fits(100, 0.1)
    assert LoaderConfig(batch_size=4).fits(4, 1e6)


def test_an_augmentation_has_a_name():
    with pytest.raises(ConfigError, match=r"data\.augment\[1\]=.* has no name; write"):
        LoaderConfig(augment=[{"name": "Gain"}, {"p": 0.5}])
