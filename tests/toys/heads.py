"""A toy head on the toy encoder, and batches of noise for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.tensors import read_tensors
from audiossl.core.types import Batch, Loss, Metric, Position
from audiossl.training.config import TrainerConfig
from audiossl.training.downstream import Downstream
from audiossl.training.interface import load_interface
from audiossl.training.log import read_log
from audiossl.training.task import Monitor, Prediction
from toys.core import ToyConfig, ToyUpstream

STEPS = 6
SETTINGS: dict[str, Any] = {"steps": STEPS, "log_every": 1, "eval_every": 3, "save_every": 100, "device": "cpu"}


class CountingUpstream(ToyUpstream):
    """Notes the last layer of each run."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            super().__init__(ToyConfig())
        self.runs: list[int] = []

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        self.runs.append(last)
        return super().encode(wavs, lengths, last)


class ToyHead(Downstream):
    """Regression of the energy of a recording, from the mean over its frames. scale: multiplies the loss."""

    monitor = Monitor("error", "min")

    def __init__(self, upstream: ToyUpstream, interface: str = "weighted_sum", dropout: float = 0.0, **options: Any):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            super().__init__(upstream, load_interface(interface, upstream.widths, **options))
            self.out = nn.Linear(self.interface.width, 1)
        self.dropout = nn.Dropout(dropout)
        self.scale = 1.0
        self.num_losses = 0

    @property
    def stackable(self) -> bool:
        return self.dropout.p == 0

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        return config

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        pass

    def _errors(self, batch: Batch) -> Tensor:
        """(B,) squared errors."""
        sequence, _ = self.sequence(batch)
        guess = self.out(self.dropout(sequence.mean(dim=1))).squeeze(-1)
        return (guess - batch.wavs.square().mean(dim=1)).square()

    def loss(self, batch: Batch) -> Loss:
        self.num_losses += 1
        errors = self._errors(batch)
        return Loss(self.scale * errors.mean(), torch.tensor(float(len(batch))), {"largest": errors.max()})

    def predict(self, batch: Batch) -> list[Prediction]:
        return [{"id": str(number), "error": float(error)} for number, error in enumerate(self._errors(batch))]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return {"error": Metric(sum(row["error"] for row in predictions) / len(predictions))}


def noise(seed: int, position: Position | None) -> Batch:
    """Three recordings of three frames."""
    wavs = torch.randn(3, 480, generator=torch.Generator().manual_seed(seed))
    return Batch(wavs, torch.full((3,), 480), (), position)


def stream(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
    """Endless; an epoch is five batches."""
    number = 0 if start is None else 5 * start.epoch + start.batch + 1
    while True:
        yield noise(number, Position(*divmod(number, 5)))
        number += 1


def dev(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
    """Two batches."""
    return (noise(1000 + number, Position(0, number)) for number in range(2))


def config_of(**settings: Any) -> TrainerConfig:
    return TrainerConfig(**{**SETTINGS, "lr": 0.01, **settings})


def log_of(run: Path, split: str = "train") -> list[dict[str, Any]]:
    return [line for line in read_log(run) if line["split"] == split]


def assert_equal_runs(first: Path, second: Path) -> None:
    """Losses, evaluations, weights and optimizer state, bit by bit."""
    assert read_log(first) == read_log(second)
    assert [line["step"] for line in log_of(first)] == list(range(1, STEPS + 1))
    for name in ("last", "best"):
        one, two = (read_tensors(run / "checkpoints" / f"{name}.safetensors")[0] for run in (first, second))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
