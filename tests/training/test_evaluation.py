"""An evaluation on dev while training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from toys.core import ToyTask, toy_dev

from audiossl.core.types import Batch, Metric, Position
from audiossl.metrics.classification import classification_metrics
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext
from audiossl.training.evaluation import Evaluator
from audiossl.training.prediction import predict_all
from audiossl.training.task import Prediction

CPU = TrainerConfig(device="cpu")


def context_of(task: ToyTask) -> TrainingContext:
    return TrainingContext(task, CPU, seed=0)


class Classifying(ToyTask):
    """Scores with intervals, of rows that it assembles."""

    split = ""

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        self.split = split
        return [row for row in predictions if row["error"] >= 0][:8]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        targets = ["a" if number % 2 else "b" for number in range(len(predictions))]
        return classification_metrics(targets, ["a"] * len(predictions))


class Drawing(ToyTask):
    """Draws a batch by writing its first number."""

    def snapshot(self, batch: Batch, folder: Path) -> dict[str, Path]:
        assert not self.training
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "batch.txt").write_text(str(float(batch.wavs[0, 0])))
        return {"batch": folder / "batch.txt"}


def test_there_is_a_row_for_each_item_in_eval_mode() -> None:
    task = ToyTask(dropout=0.9).train()
    rows = Evaluator().predict(context_of(task), toy_dev)
    assert rows == predict_all(task, lambda: toy_dev(None, 0, 1))
    assert len(rows) == 10
    assert task.training


def test_each_process_reads_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Position | None, int, int]] = []

    def source(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
        asked.append((start, rank, world))
        return toy_dev(start, rank, world)

    context = context_of(ToyTask())
    context.rank, context.world = 1, 2
    rows = Evaluator().predict(context, source)
    assert asked == [(None, 1, 2)]
    assert rows == predict_all(context.task, lambda: toy_dev(None, 1, 2))


def test_what_is_scored_is_assembled_and_has_no_intervals() -> None:
    task = Classifying()
    metrics = Evaluator().score(context_of(task), toy_dev, 0)
    assert task.split == "dev"
    assert metrics["accuracy"] == Metric(0.5, None, None)
    again = task.score(task.assemble(predict_all(task, lambda: toy_dev(None, 0, 1)), "test"))
    assert again["accuracy"].low is not None  # elsewhere it has them
    assert again["accuracy"].value == metrics["accuracy"].value


def test_the_precision_is_that_of_training() -> None:
    seen: list[torch.dtype] = []

    class Watching(ToyTask):
        def predict(self, batch: Batch) -> list[Prediction]:
            seen.append(self.linear(batch.wavs).dtype)
            return []

    for precision in ("fp32", "bf16"):
        config = TrainerConfig(device="cpu", precision=precision)  # type: ignore[arg-type]
        Evaluator().predict(TrainingContext(Watching(), config, seed=0), toy_dev)
    assert seen == [torch.float32, torch.float32, torch.bfloat16, torch.bfloat16]


def test_the_first_batch_is_drawn(tmp_path: Path) -> None:
    found = Evaluator().snapshot(context_of(Drawing().train()), toy_dev, tmp_path / "figures")
    assert found == {"batch": tmp_path / "figures" / "batch.txt"}
    assert float(found["batch"].read_text()) == float(next(iter(toy_dev(None, 0, 1))).wavs[0, 0])


def test_only_the_main_process_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of(Drawing())
    monkeypatch.setattr(Accelerator, "is_main_process", False)
    assert Evaluator().snapshot(context, unread, tmp_path / "figures") == {}
    assert not (tmp_path / "figures").exists()


def test_a_task_that_draws_nothing_costs_no_batch(tmp_path: Path) -> None:
    assert Evaluator().snapshot(context_of(ToyTask()), unread, tmp_path) == {}


def unread(*_: Any) -> Iterator[Batch]:
    pytest.fail("a batch was read")
