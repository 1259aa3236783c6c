"""Pictures of curves and of all layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audiossl.analysis.layerwise.drawing import LayerCurve, draw_curves, draw_grid
from audiossl.analysis.layerwise.encoders import Studied
from audiossl.analysis.layerwise.grid import GridPlace, compare_all
from audiossl.core.pictures import is_picture
from audiossl.core.types import Metric


def test_pictures(tmp_path: Path) -> None:
    one = Studied("$one_1", "log_mel", {})
    beside = Studied("one, random", "log_mel", {}, "random", "$one_1")
    points = [Metric(0.5, 0.4, 0.6), Metric(0.7)]
    curves = {
        name: [LayerCurve(each, [0.0, 1.0], points) for each in (one, beside)] for name in ("PWCCA", "CKA", "A", "B")
    }
    draw_curves(curves, "phones", tmp_path / "curves.png")
    rng = np.random.default_rng(0)
    frames = {GridPlace("one", n): rng.normal(size=(12, 3)).astype(np.float32) for n in range(3)}
    draw_grid(compare_all(frames, np.arange(12) % 3), "cka", tmp_path / "grid.png")
    assert is_picture(tmp_path / "curves.png")
    assert is_picture(tmp_path / "grid.png")
