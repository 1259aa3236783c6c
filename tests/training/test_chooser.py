"""Tasks that do not train choose once; see tests/downstreams/query_by_example for one from manifests to figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl.core.errors import TrainingError
from audiossl.core.tensors import read_tensors
from audiossl.core.types import Batch, Loss, Metric
from audiossl.training.chooser import Chooser
from audiossl.training.config import TrainerConfig
from audiossl.training.task import Monitor, Pass, Prediction, Task


class Counter(Task):
    """Counts the batches of dev, in two walks."""

    monitor = Monitor("batches", "max")
    trains = False

    def __init__(self, value: float | None = None) -> None:
        super().__init__()
        self.value = value
        self.register_buffer("seen", torch.tensor(0.0))

    def loss(self, batch: Batch) -> Loss:
        raise AssertionError("never called")

    def predict(self, batch: Batch) -> list[Prediction]:
        return [{"id": "a"}] * len(batch)

    def predict_pass(self, batches: Pass) -> list[Prediction]:
        assert not self.training
        return [{"id": str(number)} for walk in range(2) for number, _ in enumerate(batches())]

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        self.get_buffer("seen").fill_(len(predictions))
        return predictions

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return {"batches": Metric(float(len(predictions)) if self.value is None else self.value)}


def batches(*_: Any) -> list[Batch]:
    return [Batch(torch.zeros(1, 4), torch.tensor([4]))] * 3


def test_what_was_chosen_is_the_best_checkpoint_of_no_step(tmp_path: Path) -> None:
    state = Chooser(Counter(), TrainerConfig(device="cpu"), tmp_path, batches).fit()
    assert (state.step, state.best) == (0, [(6.0, 0)])
    tensors, described = read_tensors(tmp_path / "checkpoints" / "best.safetensors")
    assert float(tensors["seen"]) == 6
    assert described == {"value": 6.0, "step": 0}


def test_what_is_no_number_chooses_nothing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batches on dev is no number"):
        Chooser(Counter(math.nan), TrainerConfig(device="cpu"), tmp_path, batches).fit()
