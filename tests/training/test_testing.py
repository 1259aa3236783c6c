"""The checks for authors of plug-ins: what keeps the contract passes, and each breach of it is found by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from lhotse import MonoCut, SupervisionSegment
from torch import Tensor, nn

from audiossl import (
    DOWNSTREAMS,
    Batch,
    Downstream,
    Interface,
    Loss,
    Metric,
    Objective,
    Prediction,
    Upstream,
    check_downstream,
    check_interface,
    check_objective,
    load_interface,
    load_objective,
    load_upstream,
    valid_frames,
)
from audiossl.encoders.testing import noise, pad

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}


def encoder() -> Upstream:
    torch.manual_seed(0)
    return load_upstream("tera", weights="random", **TINY)


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
    objective = NextFrame(encoder())
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
        (GivesAVector, "are scalars"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_objective_is_found_out(broken: type[Objective], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_objective(broken(encoder()), steps=5)


def test_an_objective_may_say_that_a_batch_is_not_its_items() -> None:
    assert check_objective(SaysSo(encoder()), steps=5).batch_error == 0


def test_the_published_noise_of_tera_is_a_draw_a_batch_and_tera_says_so() -> None:
    """With magnitude=0 the whole contract holds; with the noise, the padded batch has other noise."""
    assert check_objective(load_objective("tera", encoder(), magnitude=0.0)).batch_error > 0
    noisy = load_objective("tera", encoder(), magnitude=1.0)
    assert not noisy.item_wise
    assert check_objective(noisy).batch_error == 0
    kind = type(noisy)

    class Claims(kind):  # type: ignore[misc, valid-type]
        item_wise = True

    with pytest.raises(AssertionError, match="that of its items averaged by weight"):
        check_objective(Claims(encoder(), noisy.config))


def test_what_only_training_uses_need_not_be_reached() -> None:
    upstream = encoder()
    upstream.mask_embedding = nn.Parameter(torch.zeros(3))
    with pytest.raises(AssertionError, match=r"No gradient reaches upstream\.mask_embedding"):
        check_objective(NextFrame(upstream), steps=3)
    type(upstream).training_only = ("mask_embedding",)
    try:
        assert check_objective(NextFrame(upstream), steps=3).without_gradient == ["upstream.mask_embedding"]
    finally:
        del type(upstream).training_only


class Gate(Interface):
    """The layers' mean, gated by a linear map of each frame."""

    stackable = True

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.width = widths[0]
        self.gate = nn.Linear(self.width, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        mean = torch.stack(tuple(layers)).mean(0)
        return mean.to(self.gate.weight.dtype) * self.gate(mean.to(self.gate.weight.dtype)).sigmoid()


class WrongWidth(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.width = 3


class NormalisesOverTime(Gate):
    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        output = super().combine(layers)
        return output - output.mean(1, keepdim=True)


class SaysThatItCommutes(Gate):
    commutes_with_mean = True


class DrawsWhenStacked(Gate):
    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return nn.functional.dropout(super().combine(layers), 0.5, self.training)


class ReadsMoreThanItSays(Gate):
    @property
    def layers_read(self) -> tuple[int, ...]:
        return (0, 1)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return super().combine(layers[:2]) + (layers[2] if layers[2].shape[1] else 0.0)


class HasAnIdlePart(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.idle = nn.Linear(2, 2)


class KeepsSomethingBack(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.register_buffer("factor", torch.tensor(0.0))

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return super().combine(layers) * (1 + self.factor)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict({**state_dict, prefix + "factor": torch.tensor(7.0)}, prefix, *rest)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongWidth, r"width says 3, the output is \(2, 7, 4\)"),
        (NormalisesOverTime, "without its neighbours, so padding reaches it"),
        (SaysThatItCommutes, "commutes_with_mean is claimed"),
        (DrawsWhenStacked, "stackable is claimed"),
        (ReadsMoreThanItSays, "not in `layers_read`"),
        (HasAnIdlePart, r"No finite gradient reaches idle\.weight, idle\.bias"),
        (KeepsSomethingBack, "Loading its own state changes the interface"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_interface_is_found_out(broken: type[Interface], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_interface(broken((4, 4, 4)))


def test_a_sound_interface_passes_and_stays_as_it_was() -> None:
    interface = Gate((4, 4, 4))
    before = interface.gate.weight.clone()
    check_interface(interface)
    assert torch.equal(interface.gate.weight, before)


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
    upstream = encoder()
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

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return {}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (PredictsByTheBatch, "Alone, item 0 is predicted as"),
        (SumsItsLoss, "that of its items averaged by weight"),
        (LosesItsIds, "a row an item"),
        (LearnsNothing, "do not lower the loss"),
        (SavesHalf, "Loading its own trainable state changes the task"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_task_is_found_out(broken: type[Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_downstream(*head(broken))
