"""`audiossl stack`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiossl import cuts_from_csv, write_manifests


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    lines, rng = ["path,speaker,level,split"], np.random.default_rng(0)
    for number in range(36):
        sound = 10 ** (-1 - number % 5 / 4) * rng.standard_normal(4000)
        soundfile.write(tmp_path / f"{number}.wav", sound.clip(-1, 1), 16000)
        lines.append(f"{number}.wav,s{number % 6},{number % 5},{('train', 'train', 'test')[number // 6 % 3]}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path / "manifests")
    return tmp_path / "manifests"


def test_it_prints_the_stack_and_its_learners(audiossl: Callable[..., Any], manifests: Path, tmp_path: Path) -> None:
    common = ["stack", manifests, "--upstream", "log_mel", "--upstream", "mfcc", "--column", "level", "--dir", tmp_path]
    done = audiossl(*common, "--regressors", "ridge", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["metrics"]["spearman"]["value"] > 0.9
    assert set(told["learners"]) == {"log_mel ridge", "mfcc ridge"}
    shown = audiossl(*common, "--regressors", "ridge")
    assert "2 weak learners as one on test" in shown.out
    assert "log_mel ridge" in shown.out
    wrong = audiossl(*common, "--regressors", "rigde")
    assert wrong.code == 2
    assert "no regressor named 'rigde'" in wrong.err
