"""Training in stages: what each begins with, resuming anywhere, what is refused before the first."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.heads import log_of

from audiossl.core.errors import AudiosslError, ConfigError, TrainingError
from audiossl.core.tensors import read_tensors
from audiossl.core.terminal import Interrupted
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train

Make = Callable[..., Experiment]
STAGES = ("trainer.steps=4", "trainer.eval_every=2", "stages.late.trainer.steps=6", "stages.late.trainer.lr=1e-3")


def stops(monkeypatch: pytest.MonkeyPatch, at: dict[int, BaseException | None]) -> None:
    """Let the loss with a number, over all calls of `train`, be interrupted, or fail where an error is given."""
    original, count = UtteranceClassification.loss, [0]

    def loss(self: UtteranceClassification, batch: Any) -> Any:
        count[0] += 1
        error = at.get(count[0])
        if error is not None:
            raise error
        if count[0] in at:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    monkeypatch.setattr(UtteranceClassification, "loss", loss)


def test_stages_stopped_anywhere_go_on_exactly(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, straight, stopped = experiment(*STAGES), tmp_path / "straight", tmp_path / "stopped"
    train(config, straight)
    assert capsys.readouterr().err.count("Stage ") == 2
    first, last = RunFolder(straight).stage(1), RunFolder(straight)
    assert (len(log_of(first.path)), len(log_of(straight))) == (4, 6)
    # The second begins where the first was best: one small step away, with an optimizer of its own.
    with monkeypatch.context() as patch:
        # In the second step of the first stage, in the second stage before any checkpoint, and in its third step.
        stops(patch, {2: None, 5: RuntimeError("killed"), 8: None})
        with pytest.raises(Interrupted, match="after step 2"):
            train(config, stopped)
        assert RunFolder(stopped).is_run
        assert not (stopped / "log.jsonl").exists()
        with pytest.raises(RuntimeError, match="killed"):
            train(RunFolder(stopped).config(), stopped, resume=True)
        with pytest.raises(Interrupted, match="after step 3"):
            train(RunFolder(stopped).config(), stopped, resume=True)
        train(RunFolder(stopped).config(), stopped, resume=True)
    for one, two in ((first, RunFolder(stopped).stage(1)), (last, RunFolder(stopped))):
        assert log_of(one.path) == log_of(two.path)
        assert log_of(one.path, "dev") == log_of(two.path, "dev")
        for name in ("last", "best"):
            weights, others = (read_tensors(each.checkpoint(name))[0] for each in (one, two))
            assert all(torch.equal(weights[key], others[key]) for key in weights)
    loaded = load_run(stopped, overrides=["data.batch_size=3"])
    assert (loaded.config.trainer.steps, loaded.config.stages, loaded.config.data.batch_size) == (6, {}, 3)
    assert loaded.evaluate("test")
    assert (stopped / "test" / "metrics.json").is_file()
    # A stage that is finished stays as it is, and all of a run goes where it is replaced.
    with pytest.raises(TrainingError, match=r"stages/1, a stage that is finished, .*trainer.steps=9 \(was 4\)"):
        train(RunFolder(stopped).config(["trainer.steps=9"]), stopped, resume=True)
    with pytest.raises(ConfigError, match="was begun with 2 stage"):
        train(RunFolder(stopped).config(["stages.later.trainer.steps=1"]), stopped, resume=True)
    train(experiment("trainer.steps=1"), stopped, overwrite=True)
    assert not (stopped / "stages").exists()


def test_a_stage_begins_with_the_best_weights_of_the_one_before(experiment: Make, tmp_path: Path) -> None:
    """A learning rate so small that no weight moves."""
    train(experiment(*STAGES, "stages.late.trainer.lr=1e-30", "stages.late.trainer.steps=1"), tmp_path)
    before = read_tensors(RunFolder(tmp_path).stage(1).checkpoint("best"))[0]
    after = RunFolder(tmp_path).trained_state("last")
    assert all(torch.equal(before[name], after[name]) for name in after if name != "calibration")
    assert RunFolder(tmp_path).facts.stages == 2


def test_an_encoder_that_begins_to_train_is_not_said_to_be_drawn(
    experiment: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train(experiment(*STAGES, "stages.late.finetune=all"), tmp_path)
    first = RunFolder(tmp_path).stage(1)
    assert f"Goes on from {first.path}. Begins to train: upstream." in caplog.messages


@pytest.mark.parametrize(
    ("late", "named"),
    [
        ("task.pooling=medain", "Stage 'late': .*median|Stage 'late': .*mean"),
        ("task.poolin=mean", "Stage 'late': .*Did you mean pooling"),
        ("trainr.steps=5", "there is no key 'trainr'"),
        ("data.dir=nowhere", "Stage 'late': .*nowhere"),
        ("finetune=none", "Stage 'late': .*would be lost.* leave finetune as it was"),
    ],
)
def test_what_is_wrong_in_a_later_stage_is_said_before_the_first(
    experiment: Make, tmp_path: Path, late: str, named: str
) -> None:
    with pytest.raises(AudiosslError, match=named):
        train(experiment(*STAGES, "finetune=all", f"stages.late.{late}"), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
