"""What is said of a run that goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.resuming import begin_again, say_if_nothing_was_left
from audiossl.experiments.start import train


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "audiossl.experiments")
    return caplog


def test_other_settings_are_named_with_what_they_were(
    experiment: Callable[..., Experiment], tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(tmp_path)
    run.begin(experiment("task.labels=['???',b]"), RunFacts())
    assert begin_again(run, experiment("task.labels=['???',b]")) == 0
    assert said.messages == []
    begin_again(run, experiment("task.labels=['???',b]", "data.batch_size=4", "seed=3", "task.dropout=0.1"))
    assert said.messages == [
        f"{run} goes on with other settings: task.dropout=0.1 (was None), data.batch_size=4 (was 6), seed=3 (was 0).",
        "Warning: with another data.batch_size and seed, batches are other ones. In the epoch in which the run was "
        "stopped, some rows come again and some not at all.",
    ]
    said.clear()
    begin_again(run, experiment("task.labels=['???',b]", "data.num_workers=1", "trainer.lr=1e-4"))
    assert [record.levelname for record in said.records] == ["INFO"]  # the order stays
    run.config_path.write_text(run.config_path.read_text().partition("trainer:")[0])
    with pytest.raises(ConfigError, match=r"config\.yaml is not whole"):
        begin_again(run, experiment())


def test_a_run_at_its_end_says_so(
    experiment: Callable[..., Experiment], tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    train(experiment("trainer.steps=2"), tmp_path)
    config = RunFolder(tmp_path).config()
    said.clear()
    train(config, tmp_path, resume=True)
    assert f"{tmp_path} was finished at step 2 already; trainer.steps=4, for instance, goes on." in said.messages
    say_if_nothing_was_left(RunFolder(tmp_path), None, 2)
    say_if_nothing_was_left(RunFolder(tmp_path), 2, 4)
    assert sum("finished" in each for each in said.messages) == 1
