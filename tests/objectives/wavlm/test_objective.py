"""Utterances are mixed by a draw of their own, and keep their own labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import MonoCut
from toys.pretraining import TINY_WAVES, surroundings

from audiossl import Batch, check_objective, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.types import Position
from audiossl.data.loader import collate
from audiossl.objectives.wavlm.objective import DenoisingConfig, WavlmObjective

RATE = 16000
Row = Callable[..., MonoCut]


def pretraining(**settings: Any) -> WavlmObjective:
    torch.manual_seed(0)
    encoder = load_upstream("wavlm", weights="random", **TINY_WAVES)
    options = {"clusters": 4, "projection_width": 8, **settings}
    return WavlmObjective(encoder, DenoisingConfig(**options))


@pytest.fixture
def rows(row: Row, sound: Callable[..., Path]) -> list[MonoCut]:
    made = []
    for number in range(6):
        draw = np.random.default_rng(number)
        samples = (0.1 * draw.standard_normal(RATE * (2 + number % 2) // 2)).astype(np.float32)
        made.append(row(f"r{number}", len(samples), path=sound(f"{number}.wav", samples, subtype="FLOAT")))
    return made


def test_what_an_utterance_is_beside_does_not_depend_on_its_batch(rows: list[MonoCut]) -> None:
    task = pretraining(mix_prob=1.0)
    task.prepare(surroundings(*rows))
    batch = collate(rows, RATE, position=Position(0, 0))
    heard = task.train().heard(batch)
    for item, cut in enumerate(rows):
        alone = task.heard(collate([cut], RATE, position=Position(0, 5)))[0]
        assert torch.equal(alone, heard[item, : len(alone)])
        added = (alone - batch.wavs[item, : len(alone)]).nonzero()
        assert 0 < len(added) <= len(alone) // 2
        assert not heard[item, len(alone) :].any()
    assert not torch.equal(task.heard(collate(rows, RATE, position=Position(1, 0))), heard)
    task.eval()
    assert torch.equal(task.heard(batch), task.heard(collate(rows, RATE, position=Position(9, 9))))


def test_the_loss_of_a_batch_is_that_of_its_items(rows: list[MonoCut]) -> None:
    task = pretraining(mix_prob=0.7, noise_prob=0.3)
    task.prepare(surroundings(*rows))
    batch = collate(rows, RATE, position=Position(0, 0))
    task.fit([batch])
    task.train()
    with torch.no_grad():
        together = task.loss(batch)
        alone = [task.loss(collate([cut], RATE, position=Position(0, n))) for n, cut in enumerate(rows)]
    weights = torch.stack([each.weight for each in alone])
    mean = (torch.stack([each.total for each in alone]) * weights).sum() / weights.sum()
    torch.testing.assert_close(together.total, mean)


def test_labels_stay_those_of_the_utterance(rows: list[MonoCut]) -> None:
    task, plain = pretraining(mix_prob=1.0), pretraining(mix_prob=0.0)
    task.prepare(surroundings(*rows))
    batch = collate(rows, RATE, position=Position(0, 0))
    task.fit([batch])
    plain.load_state_dict(task.state_dict())
    with torch.no_grad():
        mixed, clean = task.eval().loss(batch).logs, plain.eval().loss(batch).logs
    assert mixed["target_entropy"] == clean["target_entropy"]
    assert mixed["cross_entropy"] != clean["cross_entropy"]


def test_levels_are_those_that_are_asked_for(rows: list[MonoCut]) -> None:
    task = pretraining(mix_prob=1.0, mix_db=(3.0, 3.0))
    task.prepare(surroundings(*rows))
    batch = collate(rows, RATE)
    added = task.heard(batch) - batch.wavs
    for item, length in enumerate(batch.lengths.tolist()):
        own, other = batch.wavs[item, :length], added[item][added[item].abs() > 0]
        level = 10 * (own.square().mean() / other.square().mean()).log10()
        assert float(level) == pytest.approx(3.0, abs=0.2)


def test_about_a_fifth_is_mixed_and_recorded_noise_may_be_used(rows: list[MonoCut], tmp_path: Path) -> None:
    from lhotse import CutSet

    from audiossl.data.manifests import write_manifests

    noises = write_manifests({"noise": CutSet.from_cuts(rows[4:])}, tmp_path)["noise"]
    task = pretraining(noise_prob=1.0, noises=str(noises))
    cuts = tuple(MonoCut(id=f"{n}", start=0, duration=0.1, channel=0) for n in range(300))
    batch = Batch(torch.ones(300, 1600), torch.full((300,), 1600), cuts, Position(0, 0))
    changed = (task.train().heard(batch) != batch.wavs).any(1).float().mean()
    assert 0.12 < float(changed) < 0.28


def test_contract_with_noise() -> None:
    report = check_objective(pretraining(mix_prob=0.5, noise_prob=1.0), steps=5)
    assert report.batch_error < 1e-5


def test_utterances_must_be_given_and_levels_in_order(rows: list[MonoCut]) -> None:
    task = pretraining(mix_prob=1.0)
    with pytest.raises(ConfigError, match="draws other utterances from the training rows, and was given none"):
        task.heard(collate(rows, RATE))
    with pytest.raises(ConfigError, match=r"mix_db=\[5, -5\] must go from the lower to the higher"):
        DenoisingConfig(mix_db=(5.0, -5.0))
