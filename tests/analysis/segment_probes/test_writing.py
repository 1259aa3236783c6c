"""The folder of a study is read again and looked at."""

from __future__ import annotations

import json
from pathlib import Path

from toys.tones import spoken_rows

from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.analysis.segment_probes.study import study_segments
from audiossl.analysis.segment_probes.writing import write_study


def test_all_three_files_are_there(tmp_path: Path) -> None:
    options = SegmentProbeOptions(folds=3, least_items=2, by="site")
    study = study_segments(["log_mel"], [spoken_rows(tmp_path)], tmp_path / "out", options)
    table = write_study(study, tmp_path / "out", options)
    assert "24 segments, label (3 classes), ridge, mean of frames; 3 tests in which training has no speaker" in table
    assert "| layer | log_mel | log_mel, random labels |" in table and "| log_mel: site | segments | uar (%) |" in table
    facts = json.loads((tmp_path / "out" / "segment_probes.json").read_text())
    assert facts["num_segments"] == 24 and facts["classes"] == {"high": 8, "low": 8, "mid": 8}
    assert facts["curves"][0]["chosen_on_dev"]["test"]["uar"]["num_clusters"] == 4
    assert (tmp_path / "out" / "segment_probes.png").stat().st_size > 5000
