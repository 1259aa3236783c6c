"""A results folder repeats itself, and says where it cannot."""

from __future__ import annotations

import pytest
from toys.suites import ToySuite

from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.files import read_json, write_json
from audiossl.experiments.suites.lockfile import read_lock
from audiossl.experiments.suites.plan import make_plan
from audiossl.experiments.suites.results import ResultsFolder


def test_what_was_asked_for_is_asked_for_again(toy: ToySuite) -> None:
    toy.run(toy.asked())
    folder = ResultsFolder(toy.path / "results")
    said: list[str] = []
    asked = read_lock(folder.lock_path, toy.data, said.append)
    assert said == []
    assert asked.suite == toy.asked().suite
    (cell,) = make_plan(asked, folder).cells
    assert cell.state == "done"
    assert read_lock(folder.path, toy.data, said.append) == asked


def test_another_encoder_is_refused_and_other_versions_are_said(toy: ToySuite) -> None:
    toy.run(toy.asked())
    folder = ResultsFolder(toy.path / "results")
    lock = read_json(folder.lock_path)
    said: list[str] = []
    write_json(folder.lock_path, {**lock, "versions": {**lock["versions"], "torch": "1.0"}})
    read_lock(folder.path, toy.data, said.append)
    assert "torch" in said[0]
    assert "(was 1.0)" in said[0]
    encoders = {"log_mel": {**lock["encoders"]["log_mel"], "identity": "another"}}
    write_json(folder.lock_path, {**lock, "encoders": encoders})
    with pytest.raises(CheckpointError, match="'log_mel' is not the one"):
        read_lock(folder.path, toy.data, said.append)
    write_json(folder.lock_path, {"suite": lock["suite"]})
    with pytest.raises(ConfigError, match="is no lock file"):
        read_lock(folder.path, toy.data, said.append)
