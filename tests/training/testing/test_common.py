"""What the checks share: items without their padding, steps on one batch, states set to zero, stacked parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from lhotse import MonoCut
from torch import Tensor, nn

from audiossl import Batch, Loss, Metric, Monitor, Prediction, Task
from audiossl.training.testing.common import check_batch, check_stacked, fit, forget, item_of, losses_of_steps

BATCH = Batch(
    torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]),
    torch.tensor([3, 1]),
    tuple(MonoCut(name, 0, 1, 0) for name in "ab"),
)


class Mean(Task):
    """One number, which is to be the mean of all samples."""

    monitor = Monitor("loss", "min")

    def __init__(self) -> None:
        super().__init__()
        self.guess = nn.Parameter(torch.tensor(0.0))

    def loss(self, batch: Batch) -> Loss:
        inside = torch.arange(batch.wavs.shape[1]) < batch.lengths[:, None]
        errors = torch.where(inside, (batch.wavs - self.guess).square(), 0.0)
        return Loss(errors.sum() / inside.sum(), inside.sum().float())

    def predict(self, batch: Batch) -> list[Prediction]:
        return [{"id": cut.id} for cut in batch.cuts]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return {}


class MeanOfPadded(Mean):
    def loss(self, batch: Batch) -> Loss:
        return Loss((batch.wavs - self.guess).square().mean(), super().loss(batch).weight)


class NeverFitted(Mean):
    needs_fit = True


def test_an_item_has_its_own_length_and_row() -> None:
    one = item_of(BATCH, 1)
    assert one.wavs.tolist() == [[4.0]]
    assert one.lengths.tolist() == [1]
    assert [cut.id for cut in one.cuts] == ["b"]


@torch.no_grad()
def test_a_batch_is_its_items_or_is_found_out() -> None:
    assert check_batch(Mean(), BATCH, 1e-6) <= 1e-6
    with pytest.raises(AssertionError, match="mask what lies beyond each item's frames"):
        check_batch(MeanOfPadded(), BATCH, 1e-6)


def test_steps_give_the_loss_before_each_and_after_the_last() -> None:
    task = Mean()
    losses = losses_of_steps(task, BATCH, 4, lr=0.1)
    assert len(losses) == 5
    assert losses[0] == 7.5  # (1 + 4 + 9 + 16) / 4
    assert losses == sorted(losses, reverse=True)
    assert float(task.guess.detach()) == pytest.approx(0.5, abs=0.01)  # Adam moves by the rate, once after each loss


def test_a_state_is_forgotten_in_place() -> None:
    task = Mean()
    losses_of_steps(task, BATCH, 1, lr=0.1)
    forget(task.state_dict())
    assert float(task.guess) == 0


def test_a_task_that_still_waits_for_statistics_is_found_out() -> None:
    fit(Mean(), BATCH)
    with pytest.raises(AssertionError, match="needs_fit is still True"):
        fit(NeverFitted(), BATCH)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class BranchesOnItsNumbers(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        return x if self.scale.sum() > 0 else -x


class RemembersItsInput(Scaled):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * self.calls


@pytest.mark.parametrize(("broken", "message"), [(BranchesOnItsNumbers, "`vmap` fails"), (RemembersItsInput, "off")])
def test_what_cannot_be_stacked_is_found_out(broken: type[nn.Module], message: str) -> None:
    def loss_of(output: Any) -> Tensor:
        total: Tensor = output.sum()
        return total

    check_stacked(Scaled(), torch.ones(3, 2), loss_of, 1e-6)
    check_stacked(nn.Identity(), torch.ones(3, 2), loss_of, 1e-6)  # nothing to stack
    with pytest.raises(AssertionError, match=f"stackable is claimed, .*{message}"):
        check_stacked(broken(), torch.ones(3, 2), loss_of, 1e-6)
