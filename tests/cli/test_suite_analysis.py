"""`audiossl suite analyse`: the encoders of a results folder, on the manifests that it has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from toys.layerwise import write_speakers
from typer.testing import CliRunner

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.cli.main import app
from audiossl.cli.suite_analysis import _asked, _manifest
from audiossl.core.errors import ConfigError
from audiossl.experiments.suites.definition import Suite, SuiteTask
from audiossl.experiments.suites.encoders import known_encoder, parse_encoder
from audiossl.experiments.suites.lockfile import write_lock
from audiossl.experiments.suites.plan import Asked
from audiossl.experiments.suites.results import ResultsFolder


def test_encoders_of_the_lock_are_analysed_on_the_manifests_of_the_results(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path / "results")
    results.data("libri_mini").mkdir(parents=True)
    shutil.copy(write_speakers(tmp_path), results.data("libri_mini") / "test.jsonl.gz")
    suite = Suite(name="small", version=1, tasks={"libri_mini/speaker": SuiteTask(metric="accuracy")})
    write_lock(Asked(suite, [known_encoder(parse_encoder("log_mel"))], None, {}), results)
    command = [
        "suite",
        "analyse",
        str(results),
        "libri_mini",
        "--with",
        "mel,speakers",
        "--clusters",
        "0",
        "--moments",
        "0",
    ]
    done = CliRunner().invoke(app, [*command, "--moments", "0", "--no-cache"])
    assert done.exit_code == 0, done.output
    assert "## speakers" in done.stdout
    said = json.loads((results.analyses_path / "libri_mini" / "analysis.json").read_text())
    assert [view["figure"] for view in said["views"]] == ["mel.png", "speakers.png"]
    assert [each["name"] for each in said["encoders"]] == ["log_mel"]
    assert {"logme", "ped", "tmi"} <= {each["measure"] for each in said["points"] if each["view"] == "speakers"}


def test_random_weights_are_not_analysed_twice() -> None:
    choices = [parse_encoder(text) for text in ("tera_mini", "tera_mini:random", "wav2vec2:random,width=64")]
    found = [each.written for each in _asked(choices, AnalyseOptions())]
    assert found == ["tera_mini", "wav2vec2:random,width=64"]
    assert len(_asked(choices, AnalyseOptions(random=False))) == 3


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no manifests; take another --split"):
        _manifest(tmp_path, "test")
    (tmp_path / "train.jsonl.gz").touch()
    with pytest.raises(ConfigError, match="has the splits train and not 'test'"):
        _manifest(tmp_path, "test")
