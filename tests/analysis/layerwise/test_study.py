"""The whole analysis on made-up recordings, and what is wrong with its input."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.layerwise import write_speakers

from audiossl.analysis.layerwise import study
from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.study import read_material, study_layers
from audiossl.analysis.layerwise.views import parse_views
from audiossl.core.errors import ConfigError, LabelError, ManifestError

OPTIONS = AnalyseOptions(clusters=0, moments=40, layers="0,-1")


def test_what_is_finished_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_speakers(tmp_path)
    found = study_layers(["tera_mini", "log_mel"], [manifest], "layers,mel", tmp_path / "out", OPTIONS)
    # log mel frames have no weights to draw.
    assert [each.studied.written for each in found.encoders] == ["tera_mini", "tera_mini, random", "log_mel"]
    assert found.grid is not None
    assert [place.encoder for place in found.grid.places] == [
        "mel",
        *["tera_mini"] * 2,
        *["tera_mini, random"] * 2,
        "log_mel",
    ]
    mine = {(p.view, p.measure, p.layer): p.estimate.value for p in found.encoders[2].points}
    assert mine["mel", "pwcca", 0] == pytest.approx(1.0, abs=1e-4)
    assert mine["mel", "rsa", 0] == pytest.approx(1.0, abs=1e-4)
    monkeypatch.setattr(study, "gather", lambda *_, **__: pytest.fail("it was done"))
    again = study_layers(["tera_mini", "log_mel"], [manifest], "layers,mel", tmp_path / "out", OPTIONS)
    assert [p.estimate.value for each in again.encoders for p in each.points] == [
        p.estimate.value for each in found.encoders for p in each.points
    ]


def test_rows_and_groups_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path)
    views = parse_views("layers")
    with pytest.raises(ManifestError, match="r0 twice"):
        read_material([manifest, manifest], views, OPTIONS)
    with pytest.raises(LabelError, match="nothing in the field 'dialect'"):
        read_material([manifest], views, AnalyseOptions(group="dialect"))
    with pytest.raises(ConfigError, match="--moments"):
        study_layers(["log_mel"], [manifest], "layers", tmp_path / "out", AnalyseOptions(moments=8, clusters=0))


def test_an_encoder_of_one_frame_is_compared_with_columns_alone(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path)
    columns = AnalyseOptions(clusters=0, moments=0)
    for views, options, said in (("layers", columns, "--with layers"), ("speakers", OPTIONS, "--moments")):
        with pytest.raises(ConfigError, match=f"{said}: .* one frame"):
            study_layers(["column[field=age,width=1]"], [manifest], views, tmp_path / "out", options)


def test_many_groups_are_put_together(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path, num_speakers=12, num_recordings=1)
    clusters = read_material([manifest], parse_views("layers"), OPTIONS).clusters
    assert clusters.num == 10
    assert clusters.remark == "12 speakers are put together at random in 10 groups"
