"""The check for authors of tasks: what keeps the contract passes, and each breach of it is found by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lhotse import MonoCut, SupervisionSegment
from torch import Tensor
from toys.tera import tiny

from audiossl import (
    DOWNSTREAMS,
    Batch,
    Downstream,
    Loss,
    Metric,
    Prediction,
    Upstream,
    check_downstream,
    load_interface,
)
from audiossl.encoders.testing import noise, pad


def labelled(upstream: Upstream) -> Batch:
    wavs, lengths = pad(noise(upstream, [0.4, 0.25, 0.3, 0.4]))
    cuts = []
    for number, duration in enumerate((lengths / upstream.sample_rate_hz).tolist()):
        name = f"item{number}"
        label = SupervisionSegment(name, name, 0, duration, speaker="s", custom={"label": "ab"[number % 2]})
        cuts.append(MonoCut(name, 0, duration, 0, supervisions=[label]))
    return Batch(wavs, lengths, tuple(cuts))


KIND = DOWNSTREAMS.load("utterance_classification")


def head(kind: type[Any] = KIND) -> tuple[Downstream, Batch]:
    upstream = tiny()
    batch = labelled(upstream)
    torch.manual_seed(0)
    made = kind(upstream, load_interface("weighted_sum", upstream.widths), kind.complete(kind.Config(), batch.cuts))
    return made, batch


def test_a_sound_task_passes_and_stays_as_it_was() -> None:
    task, batch = head()
    before = {name: value.clone() for name, value in task.trainable_state().items()}
    rows = check_downstream(task, batch)
    assert [row["id"] for row in rows] == ["item0", "item1", "item2", "item3"]
    assert all(torch.equal(value, before[name]) for name, value in task.trainable_state().items())


class PredictsByTheBatch(KIND):  # type: ignore[misc, valid-type]
    def predict(self, batch: Batch) -> list[Prediction]:
        return [{**row, "rank": float(len(batch))} for row in super().predict(batch)]


class SumsItsLoss(KIND):  # type: ignore[misc, valid-type]
    def loss(self, batch: Batch) -> Loss:
        found = super().loss(batch)
        return Loss(found.total * found.weight, found.weight)


class LosesItsIds(KIND):  # type: ignore[misc, valid-type]
    def predict(self, batch: Batch) -> list[Prediction]:
        return [{**row, "id": "item"} for row in super().predict(batch)]


class LearnsNothing(KIND):  # type: ignore[misc, valid-type]
    def loss(self, batch: Batch) -> Loss:
        found = super().loss(batch)
        return Loss(0 * found.total, found.weight)


class SavesHalf(KIND):  # type: ignore[misc, valid-type]
    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        super().load_trainable_state({name: value / 2 for name, value in state.items()})


class ForgetsIds(KIND):  # type: ignore[misc, valid-type]
    def predict(self, batch: Batch) -> list[Prediction]:
        return [{"target": row["target"]} for row in super().predict(batch)]


class PredictsTensors(KIND):  # type: ignore[misc, valid-type]
    def predict(self, batch: Batch) -> list[Prediction]:
        return [{**row, "state": torch.zeros(2)} for row in super().predict(batch)]


class GivesABareLoss(KIND):  # type: ignore[misc, valid-type]
    def loss(self, batch: Batch) -> Any:
        return super().loss(batch).total


class ScoresNothing(KIND):  # type: ignore[misc, valid-type]
    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return {}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (PredictsByTheBatch, "Alone, item 0 is predicted as"),
        (SumsItsLoss, "that of its items averaged by weight"),
        (LosesItsIds, "one row an item"),
        (ForgetsIds, r"with its id, not \[None, None"),
        (PredictsTensors, "rows of numbers, texts and lists"),
        (GivesABareLoss, "loss must give a Loss, not a Tensor"),
        (ScoresNothing, "checkpoints are chosen by"),
        (LearnsNothing, "do not lower the loss"),
        (SavesHalf, "Loading its own trainable state changes the task"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_task_is_found_out(broken: type[Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_downstream(*head(broken))
