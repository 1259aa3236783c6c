"""Centres are found, and frames get the nearest one."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError
from audiossl.nn.kmeans import KMeansConfig, fit_kmeans, nearest_centre


def blobs(num: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    owner = torch.randint(3, (num,), generator=draw)
    middles = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    return middles[owner] + 0.3 * torch.randn(num, 2, generator=draw), owner


def test_blobs_are_told_apart_and_the_distortion_is_their_spread() -> None:
    x, owner = blobs()
    found = fit_kmeans(x, KMeansConfig(clusters=3, starts=3))
    units = nearest_centre(x, found.centres)
    assert all(len(units[owner == number].unique()) == 1 for number in range(3))
    assert len(units.unique()) == 3
    assert found.distortion == pytest.approx(float((x - found.centres[units]).square().sum(-1).mean()), rel=1e-3)
    again = fit_kmeans(x, KMeansConfig(clusters=3, starts=3))
    assert torch.equal(found.centres, again.centres)


def test_the_nearest_centre_is_that_by_all_distances_also_under_autocast() -> None:
    draw = torch.Generator().manual_seed(1)
    x, centres = torch.randn(2, 50, 8, generator=draw), torch.randn(20, 8, generator=draw)
    expected = torch.cdist(x, centres).argmin(-1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest_centre(x, centres), expected)


def test_too_few_or_too_similar_frames_are_an_error() -> None:
    with pytest.raises(ConfigError, match="5 clusters need as many frames, and there are 4"):
        fit_kmeans(torch.randn(4, 2), KMeansConfig(clusters=5))
    with pytest.raises(ConfigError, match="too alike for 3 clusters"):
        fit_kmeans(torch.zeros(50, 2), KMeansConfig(clusters=3, starts=1))


def test_settings_out_of_range_are_an_error() -> None:
    with pytest.raises(ConfigError, match="clusters=0 must be at least 1"):
        KMeansConfig(clusters=0)
