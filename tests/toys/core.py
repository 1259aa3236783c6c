"""A toy corpus, a toy encoder and a toy task: small enough that a training run takes a fraction of a second."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from audiossl.core.types import Batch, Loss, Metric, Position
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.upstream import Upstream
from audiossl.training.task import Monitor, Prediction, Task

torch.set_num_threads(1)

RATE_HZ = 16000
LABELS = ("high", "low", "noise")
ROOT = Path(__file__).parents[2]
TINY_TERA = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}


def sound_of(label: str, seed: int, duration_s: float = 0.3) -> np.ndarray:
    """A high tone, a low tone or noise, (S,) float32."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    if label == "noise":
        return (0.1 * rng.standard_normal(len(times))).astype(np.float32)
    hz = (3000 if label == "high" else 200) * rng.uniform(0.9, 1.1)
    return (0.3 * np.sin(2 * np.pi * hz * times) + 0.003 * rng.standard_normal(len(times))).astype(np.float32)


def write_corpus(folder: Path, sizes: dict[str, int] | None = None) -> Path:
    """Files, a table and manifests of three labels and two speakers; the folder of the manifests is returned."""
    rows = ["path,label,speaker,split"]
    for split, size in (sizes or {"train": 6, "dev": 3, "test": 4}).items():
        for index in range(size):
            for number, label in enumerate(LABELS):
                path = folder / "audio" / split / f"{label}_{index}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                seed = 1000 * number + 100 * len(split) + index
                soundfile.write(path, sound_of(label, seed, 0.25 + 0.02 * (seed % 6)), RATE_HZ)
                rows.append(f"{path},{label},speaker_{index % 2},{split}")
    table = folder / "table.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    write_manifests(cuts_from_csv(table), folder / "manifests")
    return folder / "manifests"


@dataclass(frozen=True)
class ToyConfig:
    width: int = 8
    num_layers: int = 3


class ToyUpstream(Upstream):
    """Frames of 160 samples, through linear layers with a sine between them."""

    Config = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.stride = self.receptive_field = 160
        self.widths = (config.width,) * config.num_layers
        inputs = [160] + [config.width] * (config.num_layers - 1)
        self.linears = nn.ModuleList(nn.Linear(size, config.width) for size in inputs)

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        x = wavs[:, : wavs.shape[1] // 160 * 160].unflatten(1, (-1, 160))  # (B, T, 160)
        layers: list[Tensor] = []
        for linear in self.linears[: last + 1]:
            x = torch.sin(4 * linear(x))
            layers.append(x)
        return layers


class TrainedToy(ToyUpstream):
    """As an encoder whose constructor loads weights: they are the same ones each time."""

    def __init__(self, config: ToyConfig) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(config)


def count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of recordings in each run of the toy encoder from now on."""
    sizes: list[int] = []
    encode = ToyUpstream.encode

    def counted(self: ToyUpstream, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        sizes.append(len(wavs))
        return encode(self, wavs, lengths, last)

    monkeypatch.setattr(ToyUpstream, "encode", counted)
    return sizes


class ToyTask(Task):
    """Regression of the mean of four numbers, with dropout.

    hook is called with the number of the loss since the start; dev_values are the scores to report, in turn.
    """

    monitor = Monitor("error", "min")

    def __init__(self, dropout: float = 0.3, hook: Callable[[int], Any] | None = None, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.linear = nn.Linear(4, 3)
            self.out = nn.Linear(3, 1)
        self.dropout = nn.Dropout(dropout)
        self.hook = hook
        self.num_losses = 0
        self.dev_values: list[float] = []

    def loss(self, batch: Batch) -> Loss:
        self.num_losses += 1
        found = self.hook(self.num_losses) if self.hook else None
        guess = self.out(self.dropout(self.linear(batch.wavs).tanh())).squeeze(-1)  # (B,)
        total = (guess - 3 * batch.wavs.mean(dim=1)).square().mean()
        if found is not None:
            total = total * found
        return Loss(total, torch.tensor(float(len(batch))), {"guess": guess.mean()})

    def predict(self, batch: Batch) -> list[Prediction]:
        guess = self.out(self.linear(batch.wavs).tanh()).squeeze(-1)
        errors = (guess - 3 * batch.wavs.mean(dim=1)).abs()
        return [{"id": f"{number}", "error": float(error)} for number, error in enumerate(errors)]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        if self.dev_values:
            return {"error": Metric(self.dev_values.pop(0))}
        return {"error": Metric(sum(row["error"] for row in predictions) / len(predictions))}


def toy_batches(per_epoch: int = 7, sizes: Sequence[int] = (2, 3, 4)) -> Callable[..., Iterator[Batch]]:
    """An endless stream of batches of unequal size, each drawn from its position."""

    def batches(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
        number = 0 if start is None else start.epoch * per_epoch + start.batch + 1
        number += rank
        while True:
            epoch, batch = divmod(number, per_epoch)
            draw = torch.Generator().manual_seed(number)
            size = sizes[number % len(sizes)]
            wavs = torch.randn(size, 4, generator=draw)
            yield Batch(wavs, torch.full((size,), 4), (), Position(epoch, batch))
            number += world

    return batches


def toy_dev(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
    for number in range(rank, 2, world):
        wavs = torch.randn(5, 4, generator=torch.Generator().manual_seed(10_000 + number))
        yield Batch(wavs, torch.full((5,), 4), (), Position(0, number))


def stop_at(number: int, which: signal.Signals = signal.SIGINT) -> Callable[[int], None]:
    """A hook that sends this process a signal in the given loss."""

    def hook(done: int) -> None:
        if done == number:
            signal.raise_signal(which)

    return hook


def factor_at(values: dict[int, float], otherwise: float = 1.0) -> Callable[[int], float]:
    """A hook that multiplies the loss of some calls, for instance by NaN."""
    return lambda done: values.get(done, otherwise)


def same_numbers(first: Any, second: Any) -> bool:
    """Equality in which NaN equals NaN."""
    return first == second or (first != first and second != second) or math.isclose(first, second, abs_tol=0.0)
