"""What objectives on masked frames share."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from audiossl import Batch, Upstream, check_objective, load_upstream
from audiossl.core.errors import TrainingError
from audiossl.core.types import Loss
from audiossl.encoders.testing import noise, pad
from audiossl.training.masked import MaskedObjective, MaskingConfig
from audiossl.training.objective import Guard


@dataclass(frozen=True)
class FillConfig(MaskingConfig):
    """Short spans."""

    mask_span: int = 3


class Fill(MaskedObjective):
    """Local features of masked frames from the last state."""

    Config = FillConfig
    guards = (Guard("spread", 0.1, 5, "lower the rate"),)

    def __init__(self, upstream: Upstream, config: FillConfig | None = None) -> None:
        super().__init__(upstream, config or FillConfig())
        self.head = nn.Linear(self.width, self.encoder.num_features)

    def loss(self, batch: Batch) -> Loss:
        frames = self.upstream.num_frames(batch.lengths)
        local = self.encoder.local_features(batch.wavs, batch.lengths)
        masked = self.masks(batch)
        x = self.fill(self.encoder.embed(local), masked)
        made = self.head(self.encoder.contextualize(x, frames, self.last)[-1])
        error = torch.where(masked, (made - local.detach()).square().mean(-1), 0.0)
        count = masked.sum()
        return Loss(error.sum() / count.clamp(min=1), count.float())


def tera() -> Upstream:
    return load_upstream(
        "tera", weights="random", width=16, num_layers=1, num_heads=2, ffn_width=16, normalize="utterance"
    )


def test_a_few_lines_make_an_objective_that_passes_the_check() -> None:
    """TERA has no mask embedding: the objective brings its own, and trains it."""
    report = check_objective(Fill(tera()))
    assert not report.without_gradient
    assert Fill(tera()).mask_embedding.shape == (16,)


def test_masks_differ_by_key_and_repeat() -> None:
    task = Fill(tera())
    batch = Batch(*pad(noise(task.upstream, [0.8, 0.5])))
    first, again, other = task.masks(batch), task.masks(batch), task.masks(batch, "second")
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_shortest_crop_has_room_for_a_span() -> None:
    task = Fill(tera())
    samples = round(task.shortest_s * 16000)
    assert task.upstream.num_frames(samples) == 3
    assert task.upstream.num_frames(samples - task.upstream.stride) == 2


def test_a_collapse_stops_the_run() -> None:
    task = Fill(tera())
    for step in range(24):
        task.watch(step, {"loss": 1.0, "spread": 0.01})
    task.watch(23, {"loss": 1.0, "spread": 0.2})  # one good step, and it counts anew
    for step in range(19):
        task.watch(100 + step, {"spread": 0.01})
    with pytest.raises(TrainingError, match=r"collapsed: spread is 0\.01 at step 119.*lower the rate"):
        task.watch(119, {"spread": 0.01})
