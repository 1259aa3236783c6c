"""Confusion pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread
from toys.words import tone_batch, toy_task

from audiossl.downstreams.utterance_classification.figures import draw_confusion


@pytest.mark.parametrize("num_classes", [2, 10, 60])
def test_confusion_picture_grows_with_the_classes(num_classes: int, tmp_path: Path) -> None:
    labels = [f"class number {number}" for number in range(num_classes)]
    draw_confusion(labels * 3, labels[1:] * 3 + labels[:1] * 3, labels, tmp_path / "figures" / "confusion.png")
    height, width = imread(tmp_path / "figures" / "confusion.png").shape[:2]
    assert height >= 13 * num_classes + 200  # room for 13 pixels a row
    assert 400 < width <= 2400


def test_figures_draws_what_has_a_target(tmp_path: Path) -> None:
    task = toy_task().eval()
    rows = task.predict(tone_batch())
    drawn = task.figures(tmp_path, rows)
    assert list(drawn) == ["Confusion matrix"]
    assert all(path.stat().st_size > 5000 for path in drawn.values())
    assert task.figures(tmp_path, [{**row, "target": None} for row in rows]) == {}
