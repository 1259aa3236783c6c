"""What a run keeps: the last checkpoint, the best, and the mean of the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ToyTask

from audiossl.core.errors import CheckpointError, TrainingError
from audiossl.core.tensors import read_tensors
from audiossl.core.types import Position
from audiossl.training.checkpoints import BestWeights, Checkpoints, TrainingState
from audiossl.training.config import TrainerConfig
from audiossl.training.optimizer import build_optimizer


def filled(value: float, **options: Any) -> ToyTask:
    """A task with equal weights everywhere."""
    task = ToyTask(**options)
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.fill_(value)
    return task


def updated(task: ToyTask, steps: int = 2) -> torch.optim.Optimizer:
    """The task's optimizer after some updates, so that it has a state."""
    optimizer = build_optimizer(task, TrainerConfig())
    for _ in range(steps):
        for parameter in task.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    return optimizer


def names(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "checkpoints").glob("*")}


def keep_all(checkpoints: Checkpoints, values: list[float], mode: Any = "min") -> list[BestWeights]:
    """Evaluations with these figures at steps 1, 2, ...; the weights of each are its step."""
    best: list[BestWeights] = []
    for step, value in enumerate(values, start=1):
        task = filled(float(step))
        task.monitor = task.monitor._replace(mode=mode)  # type: ignore[misc]
        gained = task.monitor.better(value, best[0].value if best else None)
        best = checkpoints.keep(task, BestWeights(value, step), best, gained=gained)
    return best


@pytest.mark.parametrize("position", [None, Position(3, 4)])
def test_a_state_comes_back_from_json(position: Position | None) -> None:
    state = TrainingState(7, position, [BestWeights(0.5, 4), BestWeights(0.75, 6)], 1, 6)
    assert TrainingState.from_json(state.as_json()) == state


def test_the_state_of_an_early_version_was_evaluated_where_it_was_saved() -> None:
    stored = TrainingState(7).as_json()
    del stored["evaluated"]
    assert TrainingState.from_json(stored).evaluated == 7


def test_the_last_checkpoint_brings_back_weights_optimizer_and_state(tmp_path: Path) -> None:
    task, state = ToyTask(), TrainingState(5, Position(1, 2), [BestWeights(0.5, 4)], 1, 4)
    optimizer = updated(task)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(task, optimizer, state)
    other = ToyTask(seed=1)
    fresh = build_optimizer(other, TrainerConfig())
    assert checkpoints.restore(other, fresh) == state
    assert all(torch.equal(task.state_dict()[name], value) for name, value in other.state_dict().items())
    old, new = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert old.keys() == new.keys()
    for number, kept in old.items():
        assert all(torch.equal(torch.as_tensor(value), new[number][name]) for name, value in kept.items())


def test_without_a_last_checkpoint_the_fix_is_named(tmp_path: Path) -> None:
    task = ToyTask()
    with pytest.raises(TrainingError, match=f"{tmp_path} has no checkpoint to resume from; start it again with"):
        Checkpoints(tmp_path).restore(task, build_optimizer(task, TrainerConfig()))


def test_a_checkpoint_of_another_task_is_an_error(tmp_path: Path) -> None:
    class Other(ToyTask):
        def __init__(self) -> None:
            super().__init__()
            self.more = torch.nn.Linear(1, 1)

    task, other = ToyTask(), Other()
    Checkpoints(tmp_path).save(task, updated(task), TrainingState())
    with pytest.raises(CheckpointError, match="more"):
        Checkpoints(tmp_path).restore(other, build_optimizer(other, TrainerConfig()))


@pytest.mark.parametrize(("mode", "step"), [("min", 4), ("max", 3)])
def test_the_best_is_the_best_by_the_monitor(tmp_path: Path, mode: str, step: int) -> None:
    checkpoints = Checkpoints(tmp_path)
    values = [3.0, 5.0, 7.0, 1.0, 2.0]
    assert keep_all(checkpoints, values, mode) == [BestWeights(values[step - 1], step)]
    state, described = read_tensors(checkpoints.path("best"))
    assert described == {"value": values[step - 1], "step": step}
    assert all(bool((value == step).all()) for value in state.values())
    assert names(tmp_path) == {"best"}


def test_of_equals_the_first_stays(tmp_path: Path) -> None:
    assert keep_all(Checkpoints(tmp_path), [2.0, 1.0, 1.0]) == [BestWeights(1.0, 2)]
    assert read_tensors(tmp_path / "checkpoints" / "best.safetensors")[1]["step"] == 2


def test_as_many_as_are_averaged_are_kept_and_the_others_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, num_averaged=2)
    best = keep_all(checkpoints, [5.0, math.inf, 2.0, 3.0, 9.0, 1.0])
    assert best == [BestWeights(1.0, 6), BestWeights(2.0, 3)]
    assert names(tmp_path) == {"best", "kept-6", "kept-3"}
    checkpoints.average(best)
    state, described = read_tensors(checkpoints.path("averaged"))
    assert described == {"steps": [6, 3]}
    assert all(bool((value == 4.5).all()) for value in state.values())


def test_a_number_that_is_not_averaged_is_that_of_the_best(tmp_path: Path) -> None:
    class Counted(ToyTask):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(count))

    checkpoints = Checkpoints(tmp_path, num_averaged=2)
    best = checkpoints.keep(Counted(10), BestWeights(2.0, 1), [], gained=True)
    best = checkpoints.keep(Counted(21), BestWeights(1.0, 2), best, gained=True)
    checkpoints.average(best)
    assert read_tensors(checkpoints.path("averaged"))[0]["count"].equal(torch.tensor(21))


@pytest.mark.parametrize("number", [0, 1])
def test_one_is_not_averaged(tmp_path: Path, number: int) -> None:
    checkpoints = Checkpoints(tmp_path, num_averaged=number)
    checkpoints.average(keep_all(checkpoints, [2.0, 1.0]))
    assert names(tmp_path) == {"best"}


def test_other_processes_rank_and_write_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, num_averaged=2, active=False)
    best = keep_all(checkpoints, [3.0, 1.0, 2.0])
    assert [one.step for one in best] == [2, 3]
    checkpoints.average(best)
    task = ToyTask()
    checkpoints.save(task, updated(task), TrainingState())
    assert names(tmp_path) == set()


@pytest.mark.parametrize("active", [True, False])
def test_what_a_killed_writer_left_is_removed(tmp_path: Path, active: bool) -> None:
    checkpoints = Checkpoints(tmp_path, active=active)
    checkpoints.remove_parts()  # there is no such folder yet
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in (".last.safetensors.0123abcd.part", ".best.safetensors.ffffffff.part", "mine.part", ".x.part", "last"):
        (folder / name).write_bytes(b"x")
    checkpoints.remove_parts()
    left = {"mine.part", ".x.part", "last"}
    assert {path.name for path in folder.iterdir()} >= left
    assert ({path.name for path in folder.iterdir()} == left) == active


def test_a_damaged_last_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    task = ToyTask()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(task, updated(task), TrainingState(5))
    path = checkpoints.path("last")
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 4
    path.write_bytes(bytes(whole))
    with pytest.raises(CheckpointError, match=r"last\.safetensors is damaged"):
        checkpoints.restore(task, build_optimizer(task, TrainerConfig()))
