"""All layers with all others, with and without each group."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.layerwise.grid import GridPlace, compare_all
from audiossl.metrics.cka import similarities


def test_grid() -> None:
    rng = np.random.default_rng(0)
    frames = {GridPlace("one", n): rng.normal(size=(40, 3 + n)).astype(np.float32) for n in range(3)}
    frames[GridPlace("two", 0)] = 3 * frames[GridPlace("one", 0)]
    groups = np.arange(40) % 4
    found = compare_all(frames, groups)
    assert found.places == list(frames)
    assert found.num_moments == 40
    assert found.values["cka"][0, 3] == pytest.approx(1.0)
    assert found.values["rsa"][0, 3] == pytest.approx(1.0)
    kept = [view[groups != 1] for view in frames.values()]
    assert np.allclose(found.without["rsa"][1], similarities(kept, "rsa"))
