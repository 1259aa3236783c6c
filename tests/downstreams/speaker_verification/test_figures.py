"""DET curves and histograms of scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def test_drawing_perfect_and_hopeless_scores(tmp_path: Path) -> None:
    from audiossl.downstreams.speaker_verification.figures import draw_det, draw_scores

    targets = np.array([True, True, False, False])
    for number, scores in enumerate(([4.0, 3, 2, 1], [1.0, 2, 3, 4], [1.0, 1, 1, 1])):
        draw_det(np.array(scores), targets, tmp_path / f"{number}.png")
        draw_scores(np.array(scores), targets, None, tmp_path / f"{number}-scores.png")
    assert len(list(tmp_path.glob("*.png"))) == 6
