"""What runs and sweeps on the toy corpus left in their folders, and a Ctrl-C in the middle of one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl.core.tensors import read_tensors
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.training.log import read_log


def lines(run: Path, split: str) -> list[dict[str, Any]]:
    return [line for line in read_log(run) if line["split"] == split]


def weights(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return read_tensors(run / "checkpoints" / f"{name}.safetensors")[0]


def assert_equal_runs(first: Path, second: Path) -> None:
    """Losses, evaluations, weights and optimizer state, bit by bit."""
    assert read_log(first) == read_log(second)
    assert lines(first, "train")
    for name in ("last", "best"):
        one, two = weights(first, name), weights(second, name)
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert (first / "interface.json").read_text() == (second / "interface.json").read_text()


def stop_in_loss(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send this process a Ctrl-C in the given loss from now on (those of all heads are counted together)."""
    original, count = UtteranceClassification.loss, [0]

    def loss(self: Any, batch: Any) -> Any:
        count[0] += 1
        if count[0] == number:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    monkeypatch.setattr(UtteranceClassification, "loss", loss)
