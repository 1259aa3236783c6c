"""The folder of a study is read again."""

from __future__ import annotations

import json
from pathlib import Path

from audiossl.analysis.boundaries.applying import Segmenter
from audiossl.analysis.boundaries.config import BoundaryOptions
from audiossl.analysis.boundaries.study import study_boundaries
from audiossl.analysis.boundaries.writing import write_boundaries


def test_all_four_files_are_there(tones: dict[str, Path], tmp_path: Path) -> None:
    options = BoundaryOptions(methods="min_cut,uniform", group="recording")
    study = study_boundaries(["log_mel"], tones["dev"], tones["test"], tmp_path, options)
    table = write_boundaries(study, tmp_path, options)
    assert "9 true boundaries in 3 recordings, a tolerance of 50 ms." in table
    assert "| encoder | method | layer | setting | shift (ms) | r_value (%) | f1 (%) |" in table
    facts = json.loads((tmp_path / "boundaries.json").read_text())
    assert {each["setting"]["method"] for each in facts["chosen_on_dev"]} == {"min_cut", "uniform"}
    assert Segmenter.load(tmp_path).setting.method == "min_cut"
    assert (tmp_path / "boundaries.png").stat().st_size > 5000
