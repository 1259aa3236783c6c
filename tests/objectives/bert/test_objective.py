"""Masked prediction of units and of frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lhotse import MonoCut

from audiossl import Batch, check_objective, load_objective, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.types import Position
from audiossl.encoders.testing import noise, pad

TINY: dict[str, Any] = {
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "ffn_width": 32,
    "position_kernel": 16,
    "position_groups": 2,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "feature_dropout": 0.0,
}
CONTRAST = {"distractors": 6, "projection_width": 8}


def pretraining(name: str, num_units: int = 0, **options: Any) -> tuple[Any, Batch]:
    torch.manual_seed(0)
    encoder = load_upstream("bert", weights="random", num_units=num_units, **TINY)
    seconds = [0.8, 0.5]
    cuts = tuple(MonoCut(f"item{number}", start=0, duration=each, channel=0) for number, each in enumerate(seconds))
    return load_objective(name, encoder, **options), Batch(*pad(noise(encoder, seconds)), cuts, Position(0, 0))


@pytest.mark.parametrize(("name", "num_units"), [("masked_units", 9), ("masked_contrast", 0)])
def test_contract(name: str, num_units: int) -> None:
    task, _ = pretraining(name, num_units, **(CONTRAST if name == "masked_contrast" else {}))
    report = check_objective(task)
    assert report.batch_error < 1e-5
    assert not [parameter for parameter in report.without_gradient if "embedding" not in parameter]


def test_the_loss_of_units_is_the_cross_entropy_of_masked_frames() -> None:
    task, batch = pretraining("masked_units", 9)
    task.eval()
    mask, encoder = task.masks(batch), task.upstream
    local = encoder.local_features(batch.wavs, batch.lengths)
    states = encoder.contextualize(task.fill(encoder.embed(local), mask), encoder.num_frames(batch.lengths), 2)[-1]
    units = local[..., 0].long()
    expected = F.cross_entropy(task.head(states)[mask], units[mask])
    loss = task.loss(batch)
    assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    shares = units[mask].bincount(minlength=9) / int(mask.sum())
    assert float(loss.logs["majority"]) == pytest.approx(float(shares.max()))
    assert float(loss.logs["target_entropy"]) == pytest.approx(float(torch.special.entr(shares).sum()), rel=1e-5)


def test_the_loss_of_frames_is_that_of_each_against_its_distractors() -> None:
    task, batch = pretraining("masked_contrast", **CONTRAST)
    task.eval()
    mask, encoder = task.masks(batch), task.upstream
    local = encoder.local_features(batch.wavs, batch.lengths)
    states = encoder.contextualize(task.fill(encoder.embed(local), mask), encoder.num_frames(batch.lengths), 2)[-1]
    losses = []
    draws = task.draws(batch, 0, "distractors")
    for item, draw in enumerate(draws):
        told = task.project_states(states[item, mask[item]])
        right = task.project_targets(encoder.feature_norm(local[item, mask[item]]))
        for frame, others in enumerate(torch.randint(len(told) - 1, (len(told), 6), generator=draw)):
            chosen = right[[frame, *(int(n) + (int(n) >= frame) for n in others)]]
            losses.append(-F.log_softmax(F.cosine_similarity(told[frame][None], chosen) / 0.1, dim=0)[0])
    expected = torch.stack(losses).mean()
    assert float(task.loss(batch).total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_each_has_its_kind_of_input() -> None:
    with pytest.raises(ConfigError, match="is frames, of which masked_units tells nothing; give it"):
        pretraining("masked_units")
    with pytest.raises(ConfigError, match="is units, which masked_contrast does not compare"):
        pretraining("masked_contrast", 9)
