"""Where the labels of frames come from, and that they move with crops and speeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toys.tones import ctm, tone_row

from audiossl.data.frame_labels import write_frame_labels
from audiossl.data.label_source import LabelSource


def test_every_source_gives_the_same_labels(tmp_path: Path) -> None:
    cut = tone_row(tmp_path, "a", ["low", "mid", "mid", "high"])
    times_s = np.array([0.0, 0.1, 0.249, 0.25, 0.6, 0.99])
    expected = ["low", "low", "low", "mid", "mid", "high"]
    assert LabelSource("", "label").labels_at(cut, times_s) == expected
    assert LabelSource("tones", "label").labels_at(cut, times_s) == expected
    assert LabelSource(str(ctm(tmp_path / "a.ctm", cut)), "").labels_at(cut, times_s) == expected
    numbers = np.repeat([0, 1, 1, 2], 25)
    (named,) = write_frame_labels([(cut, numbers)], "frames", 100.0, tmp_path / "labels")
    assert LabelSource("frames", "").labels_at(named, times_s) == ["0", "0", "0", "1", "1", "2"]


def test_labels_move_with_crops_and_speeds(tmp_path: Path) -> None:
    cut = tone_row(tmp_path, "a", ["low", "mid", "high"])
    sources = [LabelSource("", "label"), LabelSource("tones", ""), LabelSource(str(ctm(tmp_path / "a.ctm", cut)), "")]
    for changed, times_s, expected in (
        (cut.truncate(offset=0.3, duration=0.4, preserve_id=True), [0.1, 0.3], ["mid", "high"]),
        (cut.perturb_speed(1.25, affix_id=False), [0.19, 0.21, 0.41], ["low", "mid", "high"]),
    ):
        for source in sources:
            assert source.labels_at(changed, np.array(times_s)) == expected, source.alignment
