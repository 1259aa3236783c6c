"""The check for authors of objectives: what keeps the contract passes, and each breach of it is found by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from toys.tera import tiny

from audiossl import Batch, Loss, Objective, Upstream, check_objective, load_objective, valid_frames


@dataclass(frozen=True)
class NextFrameConfig:
    dropped: float = 0.3
    seed: int = 0


class NextFrame(Objective):
    """Hidden states predict their first layer two frames on; a share of frames, drawn for each item, does not count."""

    Config = NextFrameConfig

    def __init__(self, upstream: Upstream, config: NextFrameConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config or NextFrameConfig()
        self.head = nn.Linear(upstream.widths[-1], upstream.widths[0])

    def chosen(self, batch: Batch, frames: Tensor, size: int) -> Tensor:
        """(B, size) bool, among the first `frames` (B,) of each item."""
        rows = [
            torch.rand(int(n), generator=g) for n, g in zip(frames, self.draws(batch, self.config.seed), strict=True)
        ]
        kept = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) >= self.config.dropped
        return torch.nn.functional.pad(kept, (0, size - kept.shape[1])) & valid_frames(frames, size)

    def loss(self, batch: Batch) -> Loss:
        features = self.upstream(batch.wavs, batch.lengths)
        made, target = self.head(features.layers[-1])[:, :-2], features.layers[0][:, 2:].detach()
        chosen = self.chosen(batch, features.lengths - 2, made.shape[1])
        errors = (made - target).abs().mean(-1)
        count = chosen.sum()
        return Loss(torch.where(chosen, errors, 0.0).sum() / count.clamp(min=1), count.float())


def test_a_sound_objective_passes_and_stays_as_it_was() -> None:
    objective = NextFrame(tiny())
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    report = check_objective(objective, unreached=["upstream.project.*"], steps=10)
    assert 0 < report.batch_error < 1e-5
    assert len(report.losses) == 11
    assert min(report.losses) < report.losses[0]
    assert report.without_gradient == []
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    assert objective.training


class LooksAtPadding(NextFrame):
    def chosen(self, batch: Batch, frames: Tensor, size: int) -> Tensor:
        return torch.ones(len(batch), size, dtype=torch.bool)


class DrawsOnceABatch(NextFrame):
    def chosen(self, batch: Batch, frames: Tensor, size: int) -> Tensor:
        draw = torch.Generator().manual_seed(0)
        return (torch.rand(len(batch), size, generator=draw) > 0.3) & valid_frames(frames, size)


class SaysSo(DrawsOnceABatch):
    @property
    def item_wise(self) -> bool:
        return False


class DrawsFromTorch(NextFrame):
    def chosen(self, batch: Batch, frames: Tensor, size: int) -> Tensor:
        return (torch.rand(len(batch), size) > 0.3) & valid_frames(frames, size)


class CountsItems(NextFrame):
    def loss(self, batch: Batch) -> Loss:
        return Loss(super().loss(batch).total, torch.tensor(float(len(batch))))


class HasAnIdleHead(NextFrame):
    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.idle = nn.Linear(2, 2)


class ForgetsItsHead(NextFrame):
    def trainable_state(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.state_dict().items() if not name.startswith("head")}


class ClimbsUp(NextFrame):
    def loss(self, batch: Batch) -> Loss:
        found = super().loss(batch)
        return Loss(2 * found.total.detach() - found.total, found.weight)  # the value, and its gradient reversed


class DividesByNothing(NextFrame):
    def loss(self, batch: Batch) -> Loss:
        found = super().loss(batch)
        frames = self.upstream.num_frames(batch.lengths)
        return Loss(found.total + 0 * (1 / (frames - 2)).sum(), found.weight)  # the shortest item has two


class GivesAVector(NextFrame):
    def loss(self, batch: Batch) -> Loss:
        found = super().loss(batch)
        return Loss(found.total, found.weight[None])


class GivesANumber(NextFrame):
    def loss(self, batch: Batch) -> Loss:
        found = super().loss(batch)
        return Loss(found.total, float(found.weight))  # type: ignore[arg-type]


class SaysSoByAMethod(NextFrame):
    def item_wise(self) -> bool:  # type: ignore[override]
        return False


class NeedsWhatThereIsNot(NextFrame):
    needs = ("quantize",)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (LooksAtPadding, "mask what lies beyond each item's frames"),
        (DrawsOnceABatch, "draw for each item by itself"),
        (CountsItems, "average over what `weight` counts"),
        (DrawsFromTorch, "take what is random from `self.draws"),
        (HasAnIdleHead, r"No gradient reaches idle\.weight, idle\.bias"),
        (ForgetsItsHead, "does not hold all of the weights"),
        (ClimbsUp, "do not lower the loss"),
        (DividesByNothing, "not finite with the shortest input"),
        (GivesAVector, "The weight of a Loss must be a scalar tensor"),
        (GivesANumber, "The weight of a Loss must be a scalar tensor"),
        (SaysSoByAMethod, "an attribute or a property, no method"),
        (NeedsWhatThereIsNot, "names quantize, which Tera does not have"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_objective_is_found_out(broken: type[Objective], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_objective(broken(tiny()), steps=5)


def test_an_objective_may_say_that_a_batch_is_not_its_items() -> None:
    assert check_objective(SaysSo(tiny()), steps=5).batch_error == 0


def test_the_published_noise_of_tera_is_a_draw_a_batch_and_tera_says_so() -> None:
    """With magnitude=0 the whole contract holds; with the noise, the padded batch has other noise."""
    assert check_objective(load_objective("tera", tiny(), magnitude=0.0)).batch_error > 0
    noisy = load_objective("tera", tiny(), magnitude=1.0)
    assert not noisy.item_wise
    assert check_objective(noisy).batch_error == 0
    kind = type(noisy)

    class Claims(kind):  # type: ignore[misc, valid-type]
        item_wise = True

    with pytest.raises(AssertionError, match="that of its items averaged by weight"):
        check_objective(Claims(tiny(), noisy.config))


def test_what_only_training_uses_need_not_be_reached() -> None:
    upstream = tiny()
    upstream.mask_embedding = nn.Parameter(torch.zeros(3))
    with pytest.raises(AssertionError, match=r"No gradient reaches upstream\.mask_embedding"):
        check_objective(NextFrame(upstream), steps=3)
    type(upstream).training_only = ("mask_embedding",)
    try:
        assert check_objective(NextFrame(upstream), steps=3).without_gradient == ["upstream.mask_embedding"]
    finally:
        del type(upstream).training_only
