"""What dev chooses from, and that stretches without pauses are segmented alone."""

from __future__ import annotations

import numpy as np

from audiossl.analysis.boundaries.settings import BLOCK_S, CutSetting, FrameStretch, blocks, grid, segmented


def test_every_method_has_a_grid_and_settings_are_read_again() -> None:
    for method in ("min_cut", "greedy", "peaks", "uniform"):
        settings = grid(method)
        assert len(set(settings)) == len(settings) and {each.method for each in settings} == {method}
        assert all(CutSetting.from_json(each._asdict()) == each for each in settings)
    assert CutSetting("min_cut", "norm", 0.2, 0.4).told() == "0.2 s, merged above 0.4, pauses: norm"


def test_pauses_part_segments() -> None:
    states = np.random.default_rng(0).standard_normal((60, 4))
    stretches = {"none": [FrameStretch(0, 60)], "energy": [FrameStretch(5, 25), FrameStretch(40, 55)]}
    settings = [
        CutSetting("uniform", "energy", 0.2),
        CutSetting("min_cut", "none", 0.3),
        CutSetting("min_cut", "energy", 0.2),
    ]
    found = dict(segmented(states, stretches, settings, 0.02))
    assert [(stop, starts.tolist()) for stop, starts in found[settings[0]]] == [(25, [5, 15]), (55, [40, 50])]
    assert [len(starts) for _, starts in found[settings[1]]] == [4]
    assert [(stop, len(starts)) for stop, starts in found[settings[2]]] == [(25, 2), (55, 2)]


def test_long_stretches_are_cut() -> None:
    made = blocks([FrameStretch(0, 10), FrameStretch(100, 100 + int(2.5 * BLOCK_S / 0.02))], 0.02)
    assert made[0] == (0, 10) and len(made) == 4 and made[1].first == 100 and made[-1].stop == 2600
