"""Points of layers: what is known of segments is found, and few items are said."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.layerwise import write_speakers

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.curves import curves_of, read_points, write_points
from audiossl.analysis.layerwise.gathering import gather
from audiossl.analysis.layerwise.study import read_material
from audiossl.analysis.layerwise.views import parse_views
from audiossl.core.errors import ConfigError
from audiossl.encoders.kept import load_identified


def test_points_of_a_layer(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path)
    views = parse_views(f"layers,phones={tmp_path / 'phones.ctm'},speakers")
    material = read_material([manifest], views, AnalyseOptions(clusters=4, seeds=1, moments=0))
    found = curves_of(gather(load_identified("log_mel", {}), [0], material, tmp_path / "out"), "")
    points = {(point.view, point.measure): point for point in found}
    assert points["layers", "pwcca"].estimate.value == pytest.approx(1.0)
    phones = points["phones", "pwcca"]
    assert phones.estimate.value > 0.8
    assert phones.held_out == "speaker"
    assert phones.num_items == 128
    assert points["speakers", "pwcca"].held_out == "recording"
    assert "16 items in 80 dimensions" in points["speakers", "pwcca"].remark
    assert points["phones", "pnmi"].estimate.value > 0.5
    write_points(found, tmp_path / "points.json", {"key": "k"})
    again = read_points(tmp_path / "points.json")
    assert [point.estimate.value for point in again] == [point.estimate.value for point in found]
    assert again[0].estimate.without.shape == (4,)


def test_two_speakers_are_too_few(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path, num_speakers=2)
    with pytest.raises(ConfigError, match=r"2 speaker\(s\) are too few"):
        read_material([manifest], parse_views("layers"), AnalyseOptions())
