"""The cosine of one voice, from windows of dev."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.downstreams.speaker_verification.diarizing.thresholds import window_threshold
from audiossl.experiments.loading import load_run
from audiossl.experiments.run import Run


@pytest.fixture(scope="module")
def loaded(run: Path) -> Run:
    return load_run(run, device="cpu")


def with_data(loaded: Run, folder: Path) -> Run:
    data = dataclasses.replace(loaded.config.data, dir=str(folder))
    return dataclasses.replace(loaded, config=dataclasses.replace(loaded.config, data=data))


def test_windows_of_dev_say_where_one_voice_ends(loaded: Run) -> None:
    assert 0.3 < window_threshold(loaded, DiarizeOptions(window_s=0.3, hop_s=0.3)) < 1


def test_dev_that_says_nothing_is_refused(loaded: Run, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no .* or give --threshold"):
        window_threshold(with_data(loaded, tmp_path / "none"), DiarizeOptions())
