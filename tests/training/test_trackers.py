"""Trackers that follow a log: what they get, going on, and failing without harm."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from toys.core import ToyTask, stop_at, toy_batches, toy_dev

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.terminal import Interrupted
from audiossl.experiments.start import train
from audiossl.training.config import TrainerConfig
from audiossl.training.log import RunLog, read_log
from audiossl.training.trackers import Trackers, check_trackers
from audiossl.training.trainer import Trainer


class NotedTracker(GeneralTracker):
    """A tracker that keeps what it is told in lists of its class, a run each."""

    name = "noted"
    requires_logging_directory = False
    runs: list[Any] = []  # noqa: RUF012  of the class
    failing = ""

    def __init__(self, project: str, **options: Any) -> None:
        super().__init__()
        self.run = SimpleNamespace(id=f"run{len(self.runs)}", project=project, options=options, said=[], ended=0)

    @property
    def tracker(self) -> Any:
        return self.run

    def start(self) -> None:
        self._fail("start")
        self.runs.append(self.run)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.run.settings = values

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._fail("log")
        self.run.said.append((step, values))

    def finish(self) -> None:
        self.run.ended += 1
        self._fail("finish")

    def _fail(self, what: str) -> None:
        if self.failing == what:
            raise OSError(f"no network\nin {what}")


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runs of the tracker `noted`, which also stands for wandb."""
    monkeypatch.setattr(NotedTracker, "runs", [])
    monkeypatch.setattr(NotedTracker, "failing", "")
    for name in ("noted", "wandb"):
        monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, name, NotedTracker)
    return NotedTracker.runs


def trackers(folder: Path, name: str = "noted", **options: Any) -> Trackers:
    settings = {"lr": 0.1, "task": {"labels": ["a"], "options": {}}}
    return Trackers(TrainerConfig(trackers=[name], tracker_project="calls"), folder, settings, **options)


def test_a_tracker_gets_the_finite_figures_of_the_log_and_the_settings(tmp_path: Path, runs: list[Any]) -> None:
    def fit(task: ToyTask, *, resume: bool = False) -> None:
        config = TrainerConfig(steps=6, eval_every=3, log_every=1)
        following = Trackers(TrainerConfig(trackers=["wandb"], tracker_project="calls"), tmp_path, {"a": {"b": [1]}})
        Trainer(task, config, tmp_path, toy_batches(), toy_dev, trackers=following).fit(resume)

    with pytest.raises(Interrupted):
        fit(ToyTask(hook=stop_at(4)))
    fit(ToyTask(), resume=True)
    first, second = runs
    assert (first.project, first.settings, first.ended, second.ended) == ("calls", {"a.b": "[1]"}, 1, 1)
    assert first.options == {"name": "/".join(tmp_path.parts[-2:])}
    assert second.options == {"id": "run0", "resume": "allow"} and not hasattr(second, "settings")
    assert first.said + second.said == [
        (
            line["step"],
            {f"{line['split']}/{name}": value for name, value in line.items() if isinstance(value, float)},
        )
        for line in read_log(tmp_path)
    ]
    assert {"train/loss", "train/grad_norm"} <= first.said[0][1].keys()


def test_names_and_figures_that_no_tracker_takes_are_made_fit(tmp_path: Path, runs: list[Any]) -> None:
    with RunLog(tmp_path, trackers=trackers(tmp_path)) as log:
        log.write(1, "dev", {"recall@5": 0.5, "loss": math.nan, "what": "text"})
    assert runs[0].said == [(1, {"dev/recall_5": 0.5})]
    assert runs[0].settings == {"lr": 0.1, "task.labels": '["a"]', "task.options": "{}"}


def test_a_run_beside_others_is_sent_at_its_end_and_each_part_once(tmp_path: Path, runs: list[Any]) -> None:
    for start, steps in ((0, (1, 2)), (1, (2, 3))):
        with RunLog(tmp_path, start_step=start, trackers=trackers(tmp_path, live=False)) as log:
            for step in steps:
                log.write(step, "train", {"loss": float(step)})
            assert len(runs) == start
    assert [[step for step, _ in run.said] for run in runs] == [[1, 2], [2, 3]]
    with RunLog(tmp_path, active=False, trackers=trackers(tmp_path)) as log:
        log.write(4, "train", {"loss": 4.0})
    assert len(runs) == 2  # another process writes


@pytest.mark.parametrize("failing", ["log", "finish"])
def test_a_tracker_that_fails_leaves_the_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    monkeypatch.setattr(NotedTracker, "failing", failing)
    with caplog.at_level(logging.WARNING), RunLog(tmp_path, trackers=trackers(tmp_path)) as log:
        for step in (1, 2):
            log.write(step, "train", {"loss": 1.0})
    assert len(read_log(tmp_path)) == 2
    (record,) = caplog.records
    assert "The tracker noted" in record.getMessage() and "(no network)" in record.getMessage()


def test_a_tracker_that_cannot_begin_is_an_error_and_beside_others_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(NotedTracker, "failing", "start")
    with (
        pytest.raises(TrainingError, match=r"noted cannot begin a run \(no network\); log in"),
        RunLog(tmp_path, trackers=trackers(tmp_path)),
    ):
        pass
    with RunLog(tmp_path, trackers=trackers(tmp_path, live=False)) as log:
        log.write(1, "train", {"loss": 1.0})
    assert "cannot begin a run" in caplog.text and len(read_log(tmp_path)) == 1


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["wandbb"], "names 'wandbb', which is no tracker. Did you mean wandb"),
        (["tensorboard"], "names tensorboard, which every run writes; leave it out"),
        (["noted", "noted"], "names noted twice"),
        (["clearml"], "needs the package clearml, which is not installed; run `pip install clearml`"),
    ],
)
def test_trackers_that_are_not_there_are_named(names: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_trackers(names)
    check_trackers(["noted"])


def test_members_of_a_sweep_are_runs_with_settings_of_their_own(
    experiment: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="which is no tracker"):
        train(experiment("trainer.trackers=[other]"), tmp_path / "none")
    assert not (tmp_path / "none" / "config.yaml").exists()
    settings = ("trainer.trackers=[noted]", "trainer.steps=2", "trainer.log_every=1", "sweep.lr=[0.1,0.01]")
    train(experiment(*settings), Path("sweep"))
    assert sorted(run.settings["trainer.lr"] for run in runs) == [0.01, 0.1]
    assert [run.ended for run in runs] == [1, 1]
    assert {step for run in runs for step, _ in run.said} == {1, 2}
