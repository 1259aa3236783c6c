"""A segmenter that is kept finds again what it found, and other weights are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.analysis.boundaries.applying import Segmenter
from audiossl.analysis.boundaries.settings import CutSetting
from audiossl.core.errors import CheckpointError
from audiossl.data.manifests import read_manifest
from audiossl.encoders.kept import load_identified


def test_segments_are_numbered_and_reach_the_ends(tones: dict[str, Path], tmp_path: Path) -> None:
    mark = load_identified("log_mel", {}).fingerprint
    made = Segmenter("log_mel", {}, mark, 0, CutSetting("greedy", least=0.5), 0.01)
    made.save(tmp_path)
    again = Segmenter.load(tmp_path)
    assert again == made
    found = {cut.id: segments for cut, segments in again.segments(read_manifest(tones["test"]))}
    assert set(found) == {"d", "e", "f"}
    for segments in found.values():
        assert segments[0].start_s == 0.0 and segments[-1].end_s == pytest.approx(1.2)
        assert [each.label for each in segments] == [str(number) for number in range(1, len(segments) + 1)]
        assert any(abs(each.start_s - 0.31) < 0.03 for each in segments)


def test_what_is_no_segmenter_is_refused(tones: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no segmenter\.json that can be read \(FileNotFoundError\)"):
        Segmenter.load(tmp_path)
    other = Segmenter("log_mel", {}, "0" * 8, 0, CutSetting("greedy"), 0.0)
    with pytest.raises(CheckpointError, match="log_mel has other weights than when boundaries were chosen with it"):
        list(other.segments(read_manifest(tones["test"])))
