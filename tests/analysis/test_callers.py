"""Many encoders in one table and one figure, and how they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys.probes import write_tones

from audiossl.analysis.callers import asked_encoder, study_callers
from audiossl.analysis.config import ProbeOptions
from audiossl.core.errors import ConfigError
from audiossl.core.pictures import is_picture
from audiossl.features.config import CacheConfig


def test_encoders_are_compared(tmp_path: Path) -> None:
    data = write_tones(tmp_path)
    options = ProbeOptions(probes="linear,prototype", layers="0,-1", group="speaker")
    names = ["tera_mini[weights=random]", "log_mel"]
    found = study_callers(names, data, tmp_path / "out", options, CacheConfig(dir=str(tmp_path / "cache")))
    facts = json.loads((tmp_path / "out" / "callers.json").read_text())
    assert [each["encoder"] for each in facts["encoders"]] == names
    linear = facts["encoders"][0]["probes"][0]
    assert linear["test"]["auroc"]["value"] == 1.0
    assert set(linear["callers"]) == {"hi", "lo"}
    assert linear["callers"]["hi"]["eer"]["value"] == 0.0
    assert linear["kl"]["value"] > 0
    assert found.table.count("\n| tera_mini[weights=random]") == 2
    assert "auroc (%)" in found.table
    assert is_picture(tmp_path / "out" / "callers.png")


def test_how_encoders_are_written() -> None:
    assert asked_encoder("bandwidth[encoder=tera_mini,mode=resample]") == (
        "bandwidth[encoder=tera_mini,mode=resample]",
        "bandwidth",
        {"encoder": "tera_mini", "mode": "resample"},
    )
    assert asked_encoder("runs/asr").name == "runs/asr"
    with pytest.raises(ConfigError, match=r"NAME\[key=value,key=value\]"):
        asked_encoder("bandwidth[encoder=x")
    with pytest.raises(ConfigError, match="asked for twice"):
        study_callers(["log_mel", "log_mel"], Path("data"), Path("out"), ProbeOptions())
