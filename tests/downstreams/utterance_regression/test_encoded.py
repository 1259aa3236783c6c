"""Means of hidden states for a stack, each encoder once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl import cuts_from_csv, write_manifests
from audiossl.core.errors import ConfigError, LabelError
from audiossl.downstreams.utterance_regression.encoded import rows_of_splits
from audiossl.features.config import CacheConfig


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    lines, rng = ["path,speaker,level,text,split"], np.random.default_rng(0)
    for number in range(24):
        sound = 10 ** (-1 - number % 5 / 4) * rng.standard_normal(4000 + 100 * number)
        soundfile.write(tmp_path / f"{number}.wav", sound.clip(-1, 1), 16000)
        lines.append(f"{number}.wav,s{number % 4},{number % 5},loud,{('train', 'train', 'test')[number % 3]}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path / "manifests")
    return tmp_path / "manifests"


def test_rows_of_all_encoders_are_in_one_order(manifests: Path, tmp_path: Path) -> None:
    cache = CacheConfig(dir=str(tmp_path / "cache"))
    found = rows_of_splits(manifests, ["log_mel", "mfcc"], "level", ["train", "test"], cache)
    assert (len(found["train"].targets), len(found["test"].targets)) == (16, 8)
    assert set(found["train"].vectors) == {"log_mel", "mfcc"}
    loud = np.corrcoef(found["train"].vectors["log_mel"].mean(axis=1), found["train"].targets)[0, 1]
    assert loud < -0.95
    assert found["train"].clusters.num == 4


def test_what_is_wrong_is_said(manifests: Path, tmp_path: Path) -> None:
    cache = CacheConfig(dir=str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="each of them once"):
        rows_of_splits(manifests, ["log_mel", "log_mel"], "level", ["train"], cache)
    with pytest.raises(LabelError, match="has in the field 'text'|nothing in the field 'text'"):
        rows_of_splits(manifests, ["log_mel"], "text", ["train"], cache)
