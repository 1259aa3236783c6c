"""The training loop: exact resumption, one result for any number of processes, checkpoints, failures."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ToyTask, factor_at, stop_at, toy_batches, toy_dev

from audiossl.core import tensors as checkpoint_module
from audiossl.core.errors import TrainingError
from audiossl.core.tensors import read_tensors
from audiossl.core.terminal import Interrupted
from audiossl.training.checkpoints import BestWeights
from audiossl.training.config import TrainerConfig
from audiossl.training.evaluation import Evaluator
from audiossl.training.log import read_log
from audiossl.training.optimizer import schedule_factor
from audiossl.training.step import Stepper
from audiossl.training.trainer import Trainer

STEPS = 12
BASE = {"steps": STEPS, "batches_per_step": 2, "log_every": 1, "eval_every": 0, "save_every": 1000, "lr": 0.05}


def make(task: ToyTask, folder: Path, **settings: Any) -> Trainer:
    stream = settings.pop("stream", toy_batches())
    dev = settings.pop("dev", None)
    return Trainer(task, TrainerConfig(**{**BASE, **settings}), folder, stream, dev)


def losses(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    return [line for line in read_log(folder) if line["split"] == split]


def everything(folder: Path) -> dict[str, torch.Tensor]:
    """Weights and optimizer state of the last checkpoint."""
    return read_tensors(folder / "checkpoints" / "last.safetensors")[0]


def assert_same_run(first: Path, second: Path) -> None:
    assert losses(first) == losses(second)
    assert [line["step"] for line in losses(first)] == list(range(1, STEPS + 1))
    one, two = everything(first), everything(second)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


SETTINGS = [
    {"optimizer": "adam", "schedule": "cosine", "warmup_steps": 4},
    {"optimizer": "adamw", "schedule": "linear", "weight_decay": 0.1},
    {"optimizer": "sgd", "lr": 0.01, "schedule": "inverse_sqrt", "warmup_steps": 3},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["optimizer"])
def test_a_run_stopped_by_ctrl_c_goes_on_exactly(tmp_path: Path, settings: dict[str, Any]) -> None:
    make(ToyTask(), tmp_path / "straight", **settings).fit()
    # The ninth batch is the first of step 5, in the middle of the second epoch.
    with pytest.raises(Interrupted, match="after step 5"):
        make(ToyTask(hook=stop_at(9)), tmp_path / "stopped", **settings).fit()
    assert len(losses(tmp_path / "stopped")) == 5
    with pytest.raises(Interrupted, match="after step 7"):
        make(ToyTask(seed=1, hook=stop_at(4, signal.SIGTERM)), tmp_path / "stopped", **settings).fit(resume=True)
    make(ToyTask(seed=2), tmp_path / "stopped", **settings).fit(resume=True)
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_dropout_matters_in_these_runs(tmp_path: Path) -> None:
    """Otherwise the tests of exactness would say nothing about randomness."""
    make(ToyTask(), tmp_path / "with").fit()
    make(ToyTask(dropout=0.0), tmp_path / "without").fit()
    assert losses(tmp_path / "with") != losses(tmp_path / "without")


def test_a_killed_run_goes_on_from_its_last_checkpoint_and_its_later_log_lines_are_dropped(tmp_path: Path) -> None:
    def die(done: int) -> None:
        if done == 15:
            raise MemoryError

    make(ToyTask(), tmp_path / "straight", save_every=3).fit()
    with pytest.raises(MemoryError):
        make(ToyTask(hook=die), tmp_path / "killed", save_every=3).fit()
    assert losses(tmp_path / "killed")[-1]["step"] == 7
    assert read_tensors(tmp_path / "killed" / "checkpoints" / "last.safetensors")[1]["step"] == 6
    make(ToyTask(seed=1), tmp_path / "killed", save_every=3).fit(resume=True)
    assert_same_run(tmp_path / "straight", tmp_path / "killed")


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    make(ToyTask(), tmp_path / "straight").fit()
    make(ToyTask(), tmp_path / "short", steps=5).fit()
    make(ToyTask(seed=1), tmp_path / "short").fit(resume=True)
    assert_same_run(tmp_path / "straight", tmp_path / "short")


@pytest.mark.parametrize("stopped_in", [5, 6, STEPS])
def test_an_evaluation_that_a_stop_put_off_is_made_up_for(tmp_path: Path, stopped_in: int) -> None:
    settings = {"batches_per_step": 1, "eval_every": 3, "dev": toy_dev}
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    state = make(ToyTask(), straight, **settings).fit()
    trainer = make(ToyTask(hook=stop_at(stopped_in)), stopped, **settings)
    if stopped_in == STEPS:  # nothing is left to do but to evaluate
        again = trainer.fit()
    else:
        with pytest.raises(Interrupted):
            trainer.fit()
        again = make(ToyTask(seed=1), stopped, **settings).fit(resume=True)
    assert losses(straight, "dev") == losses(stopped, "dev")
    assert len(losses(straight, "dev")) == 4
    assert again.best == state.best
    assert_same_run(straight, stopped)


class Told(ToyTask):
    """Notes what it is told, and follows its weights with a slow mean, by a rate that depends on the step."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.told: list[tuple[str, int]] = []
        self.register_buffer("mean", self.linear.weight.detach().clone())

    def begin_step(self, step: int) -> None:
        self.told.append(("begin", step))

    def after_step(self, step: int) -> None:
        self.told.append(("after", step))
        self.get_buffer("mean").lerp_(self.linear.weight.detach(), 1 / (step + 2))

    def loss(self, batch: Any) -> Any:
        self.told.append(("loss", self.num_losses))
        return super().loss(batch)

    def score(self, predictions: Any) -> Any:
        self.told.append(("score", len(predictions)))
        return super().score(predictions)


def told_of(told: list[tuple[str, int]], when: str) -> list[int]:
    return [number for kind, number in told if kind == when]


def test_a_task_is_told_before_and_after_each_update_and_then_scored(tmp_path: Path) -> None:
    task = Told()
    make(task, tmp_path, steps=2, eval_every=1, dev=toy_dev).fit()
    first = [("begin", 0), ("loss", 0), ("loss", 1), ("after", 0), ("score", 10)]
    assert task.told == [*first, ("begin", 1), ("loss", 2), ("loss", 3), ("after", 1), ("score", 10)]


@pytest.mark.parametrize("value", [1.0, math.nan])
def test_the_update_was_made_or_skipped_when_a_task_is_told_so(tmp_path: Path, value: float) -> None:
    seen: list[torch.Tensor] = []

    class Watching(Told):
        def begin_step(self, step: int) -> None:
            seen.append(self.linear.weight.detach().clone())

        def after_step(self, step: int) -> None:
            super().after_step(step)
            seen.append(self.linear.weight.detach().clone())

    task = Watching(hook=factor_at({1: value}))
    make(task, tmp_path, steps=1, batches_per_step=1).fit()
    assert told_of(task.told, "after") == [0]
    assert torch.equal(seen[0], seen[1]) == math.isnan(value)


@pytest.mark.parametrize("stopped_in", [9, 10])
def test_a_resumed_run_is_told_of_the_steps_that_are_left(tmp_path: Path, stopped_in: int) -> None:
    """In the first or the second batch of the fifth step; what a task changes after a step is in its checkpoint."""
    settings = {"eval_every": 5, "dev": toy_dev}
    straight, stopped = Told(), Told(hook=stop_at(stopped_in))
    make(straight, tmp_path / "straight", **settings).fit()
    with pytest.raises(Interrupted, match="after step 5"):
        make(stopped, tmp_path / "stopped", **settings).fit()
    resumed = Told(seed=1)
    make(resumed, tmp_path / "stopped", **settings).fit(resume=True)
    assert told_of(straight.told, "after") == list(range(STEPS))
    for when in ("begin", "after"):
        assert told_of(stopped.told, when) == list(range(5))
        assert told_of(resumed.told, when) == list(range(5, STEPS))
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    assert not torch.equal(everything(tmp_path / "straight")["model/mean"], Told().get_buffer("mean"))


def test_a_stepper_and_an_evaluator_of_ones_own_are_asked(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    class OwnStepper(Stepper):
        def step(self, context: Any, step: int, batches: Any) -> Any:
            asked.append(("step", step))
            result = yield from super().step(context, step, batches)
            return result._replace(figures={**result.figures, "mine": 1.0})

    class OwnEvaluator(Evaluator):
        def predict(self, context: Any, batches: Any) -> Any:
            asked.append(("predict", len(asked)))
            return [{"id": "0", "error": 0.25}]

    config = TrainerConfig(**{**BASE, "steps": 2})
    own = {"stepper": OwnStepper(), "evaluator": OwnEvaluator()}
    state = Trainer(ToyTask(), config, tmp_path, toy_batches(), toy_dev, **own).fit()  # type: ignore[arg-type]
    assert asked == [("step", 0), ("step", 1), ("predict", 2)]
    assert [line["mine"] for line in losses(tmp_path)] == [1.0, 1.0]
    assert state.best == [BestWeights(0.25, 2)]


def test_the_second_ctrl_c_acts_at_once_and_handlers_are_put_back(tmp_path: Path) -> None:
    # A shell's background jobs ignore SIGINT; the test is about a process that does not.
    before = signal.default_int_handler
    inherited = signal.signal(signal.SIGINT, before)

    def twice(done: int) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            make(ToyTask(hook=twice), tmp_path).fit()
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_the_log_has_the_learning_rate_of_each_update(tmp_path: Path) -> None:
    make(ToyTask(), tmp_path, schedule="linear", warmup_steps=3, lr=0.3).fit()
    config = TrainerConfig(steps=STEPS, schedule="linear", warmup_steps=3, lr=0.3)
    assert [line["lr"] for line in losses(tmp_path)] == [0.3 * schedule_factor(config, n) for n in range(STEPS)]


def test_a_step_that_is_not_finite_is_in_the_log_and_not_in_the_checkpoint(tmp_path: Path) -> None:
    make(ToyTask(hook=factor_at({4: math.nan})), tmp_path, batches_per_step=1, log_every=100).fit()
    bad, last = losses(tmp_path)
    assert (bad["step"], bad["loss"], bad["finite"]) == (4, None, False)
    assert (last["step"], last["finite"]) == (STEPS, True)
    assert all(tensor.isfinite().all() for tensor in everything(tmp_path).values())


def test_training_gives_up_after_too_many_such_steps_on_end(tmp_path: Path) -> None:
    hook = factor_at({2: math.nan, 3: math.nan, 5: math.nan, 6: math.nan, 7: math.nan})
    with pytest.raises(TrainingError, match=r"not finite in 3 steps on end, up to step 7; lower trainer\.lr"):
        make(ToyTask(hook=hook), tmp_path, batches_per_step=1, max_nonfinite=3).fit()


def test_averaged_weights_are_the_mean_of_the_best_evaluations(tmp_path: Path) -> None:
    task = ToyTask()
    task.dev_values = [5.0, 2.0, math.nan, 3.0, 1.0, 4.0]
    state = make(task, tmp_path, eval_every=2, average_best=3, dev=toy_dev).fit()
    assert [(kept.step, kept.value) for kept in state.best] == [(10, 1.0), (4, 2.0), (8, 3.0)]
    folder = tmp_path / "checkpoints"
    assert {path.stem for path in folder.glob("kept-*")} == {"kept-10", "kept-4", "kept-8"}
    kept = [read_tensors(folder / f"kept-{step}.safetensors")[0] for step in (4, 8, 10)]
    mean, described = read_tensors(folder / "averaged.safetensors")
    assert described["steps"] == [10, 4, 8]
    for name, value in mean.items():
        torch.testing.assert_close(value, torch.stack([state[name] for state in kept]).mean(0))
    assert read_tensors(folder / "best.safetensors")[1] == {"step": 10, "value": 1.0}


@pytest.mark.parametrize(("mode", "step"), [("min", 8), ("max", 6)])
def test_the_best_checkpoint_is_the_best_by_the_monitor_and_nan_never_is(tmp_path: Path, mode: Any, step: int) -> None:
    class Monitored(ToyTask):
        monitor = ToyTask.monitor._replace(mode=mode)

    task = Monitored()
    task.dev_values = [math.nan, 3.0, 7.0, 1.0, math.nan, 2.0]
    state = make(task, tmp_path, eval_every=2, dev=toy_dev).fit()
    assert [kept.step for kept in state.best] == [step]
    assert read_tensors(tmp_path / "checkpoints" / "best.safetensors")[1]["step"] == step


def test_a_dev_metric_that_is_never_a_number_is_an_error_in_the_end(tmp_path: Path) -> None:
    task = ToyTask()
    task.dev_values = [math.nan] * 2
    with pytest.raises(TrainingError, match="error on dev was never a number"):
        make(task, tmp_path, eval_every=6, dev=toy_dev).fit()


def test_patience_ends_a_run_that_gains_nothing_and_resuming_does_not_start_it_again(tmp_path: Path) -> None:
    task = ToyTask()
    task.dev_values = [4.0, 3.0, 3.0, math.nan, 2.0, 1.0]
    settings = {"eval_every": 2, "patience": 2, "dev": toy_dev}
    assert make(task, tmp_path, **settings).fit().step == 8
    assert make(ToyTask(), tmp_path, **settings).fit(resume=True).step == 8
    assert len(losses(tmp_path)) == 8


def test_a_checkpoint_that_is_cut_off_while_it_is_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(tensors: Any, path: Path, metadata: Any = None) -> None:
        Path(path).write_bytes(b"\x10\x00")
        raise OSError("no space left")

    make(ToyTask(), tmp_path, steps=5).fit()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "save_file", half)
        with pytest.raises(OSError, match="no space left"):
            make(ToyTask(), tmp_path, steps=8).fit(resume=True)
    folder = tmp_path / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["last.safetensors"]
    (folder / ".last.safetensors.0badf00d.part").write_bytes(b"what kill -9 leaves behind")
    make(ToyTask(seed=1), tmp_path).fit(resume=True)
    make(ToyTask(), tmp_path / "straight").fit()
    assert_same_run(tmp_path / "straight", tmp_path)


def test_bf16_runs_close_to_fp32(tmp_path: Path) -> None:
    make(ToyTask(dropout=0.0), tmp_path / "fp32", dev=toy_dev).fit()
    make(ToyTask(dropout=0.0), tmp_path / "bf16", dev=toy_dev, precision="bf16").fit()
    full, half = losses(tmp_path / "fp32"), losses(tmp_path / "bf16")
    assert full != half
    assert [line["loss"] for line in half] == pytest.approx([line["loss"] for line in full], rel=0.05, abs=0.02)
    assert everything(tmp_path / "bf16")["model/linear.weight"].dtype == torch.float32


def test_resuming_without_a_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint to resume from; start it again without --resume"):
        make(ToyTask(), tmp_path).fit(resume=True)
