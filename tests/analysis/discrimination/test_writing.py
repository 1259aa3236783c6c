"""Tables, JSON and the picture of a study."""

from __future__ import annotations

import json
from pathlib import Path

from toys.tones import spoken_rows

from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.analysis.discrimination.study import study_discrimination
from audiossl.analysis.discrimination.writing import write_study


def test_everything_is_written(tmp_path: Path, toy_upstream: str) -> None:
    options = DiscriminationOptions(distances="mean")
    out = tmp_path / "out"
    study = study_discrimination([toy_upstream], [spoken_rows(tmp_path)], out, options)
    table = write_study(study, out, options)
    assert "24 segments of 3 labels by 4 speakers; ap: 84 same of 276 pairs" in table
    assert "| ABX error across speakers (mean): layer |" in table
    assert "95 % intervals over 4 speakers" in table
    assert (out / "discrimination.md").read_text().strip() == table
    facts = json.loads((out / "discrimination.json").read_text())
    assert facts["pairs"]["ap"] == [84, 276]
    first = facts["encoders"][0]
    assert first["layers"]["0"]["ap (mean)"]["num_clusters"] == 4
    assert set(first["best"]) == {"ap (mean)", "ap_across (mean)", "abx_within (mean)", "abx_across (mean)"}
    assert (out / "discrimination.png").stat().st_size > 5000
