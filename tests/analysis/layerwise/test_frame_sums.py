"""Sums of frames in blocks are those of all frames at once."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.layerwise import frame_sums
from audiossl.analysis.layerwise.frame_sums import FrameSums, cross_sums, own_sums
from audiossl.metrics.moment_sums import PairSums


@pytest.mark.parametrize("block", [1, 40, 10000])
def test_blocks_add_up(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_sums, "_BLOCK", block)
    rng = np.random.default_rng(0)
    rows = [(rng.normal(size=(n, 4)), rng.normal(size=(n, 5)), rng.normal(size=(n, 2))) for n in (7, 30, 1, 25)]
    sums = FrameSums([0, 3], ["mel"])
    for first, third, mel in rows:
        sums.add({0: first.astype("f4"), 3: third.astype("f4")}, {"mel": mel.astype("f4")})
    arrays = sums.arrays()
    every = [np.concatenate(each).astype("f4") for each in zip(*rows, strict=True)]
    for layer, states in ((0, every[0]), (3, every[1])):
        expected = PairSums.of(states, every[2])
        for made, whole in (
            (own_sums(arrays, str(layer)), expected.x),
            (own_sums(arrays, "view.mel"), expected.y),
            (cross_sums(arrays, "mel", layer), expected.both),
        ):
            for one, other in zip(made, whole, strict=True):
                assert np.allclose(one, other)
