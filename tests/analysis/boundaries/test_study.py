"""Dev chooses and test is tested: changes of tones are found where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet
from toys.tones import tone_row

from audiossl.analysis.boundaries.config import BoundaryOptions
from audiossl.analysis.boundaries.study import study_boundaries, truth_of
from audiossl.core.errors import ConfigError, LabelError

OPTIONS = BoundaryOptions(methods="greedy,peaks,uniform", group="recording")


def test_changes_of_tones_are_found(tones: dict[str, Path], tmp_path: Path) -> None:
    study = study_boundaries(["log_mel"], tones["dev"], tones["test"], tmp_path / "out", OPTIONS)
    by_method = {each.setting.method: each for each in study.chosen}
    assert set(by_method) == {"greedy", "peaks", "uniform"}
    assert study.best.test["f1"].value == 1.0 and study.best.setting.method != "uniform"
    assert by_method["greedy"].test["r_value"].num_clusters == 3
    assert study.best.counts[:, 0].tolist() == [3, 3, 3]
    assert "log_mel, greedy - uniform" in study.differences


def test_what_has_no_boundary_is_an_error(tones: dict[str, Path], tmp_path: Path) -> None:
    row = tone_row(tmp_path, "a", ["low"])
    row.supervisions = row.supervisions[1:]
    CutSet.from_cuts([row]).to_file(tmp_path / "one.jsonl.gz")
    with pytest.raises(LabelError, match="has no boundary within a row: each has one segment"):
        truth_of(tmp_path / "one.jsonl.gz", OPTIONS)
    with pytest.raises(ConfigError, match="log_mel is asked for twice"):
        study_boundaries(["log_mel"] * 2, tones["dev"], tones["test"], tmp_path / "out", OPTIONS)
