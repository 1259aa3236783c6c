"""Pictures of what was altered and what came back of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from audiossl.objectives.tera.figures import draw_reconstructions


def test_a_row_for_each_utterance_whatever_its_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    heights = []
    for num_utterances in (1, 3):
        panels = [
            tuple(rng.standard_normal((20 + 30 * row, 8)).astype(np.float32) for _ in range(3))
            for row in range(num_utterances)
        ]
        path = draw_reconstructions(panels, tmp_path / "deep" / f"{num_utterances}.png", 100.0)
        heights.append(imread(path).shape[0])
    assert heights[1] > 2 * heights[0]


def test_the_colours_are_those_of_the_clean_input(tmp_path: Path) -> None:
    """An altered input out of its range changes nothing in the pictures beside it."""
    clean = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (20, 1))
    pictures = []
    for number, altered in enumerate((clean, 1000 * clean)):
        path = draw_reconstructions([(clean, altered, clean)], tmp_path / f"{number}.png", 100.0)
        pictures.append(imread(path))
    width = pictures[0].shape[1]
    assert np.array_equal(pictures[0][:, : width // 4], pictures[1][:, : width // 4])
    assert not np.array_equal(pictures[0], pictures[1])
