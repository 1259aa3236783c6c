"""Pre-training with an averaged teacher: killed, with blocks computed twice. In two processes: test_sharding.py."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.heads import log_of
from toys.miniatures import TOY
from toys.tera import short_pretraining

from audiossl import Batch, load_upstream
from audiossl.core.errors import ManifestError
from audiossl.core.tensors import read_tensors
from audiossl.encoders.testing import noise, pad
from audiossl.experiments.building import build_objective
from audiossl.experiments.config import PretrainExperiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.training import pretrain
from audiossl.objectives.data2vec.objective import Data2VecObjective

STEPS = 60
# A teacher, and statistics of the features that are estimated before the first step.
DATA2VEC = (
    "objective=data2vec",
    "upstream=tera",
    "upstream_options.normalize=global",
    "objective_options={top_layers: 2, mask_span: 3, tau_steps: 20}",
)


class Killed(BaseException):
    """In the middle of a step: nothing is saved, nothing is said."""


def same_tensors(first: Path, second: Path) -> bool:
    one, two = (read_tensors(RunFolder(run).checkpoint("last"))[0] for run in (first, second))
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_killed_at_twenty_random_steps_it_has_the_losses_of_one_that_was_not(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (f"trainer.steps={STEPS}", "trainer.save_every=2", "trainer.batches_per_step=1", "trainer.eval_every=30")
    config = short_pretraining(corpus, *DATA2VEC, *settings)
    pretrain(config, tmp_path / "straight")
    rng, kills, out, begun = random.Random(0), 0, tmp_path / "killed", False
    original = Data2VecObjective.loss
    while True:
        left = rng.randint(2, 4) if kills < 20 else 10_000  # losses until the next kill, dev's among them

        def loss(self: Data2VecObjective, batch: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return original(self, batch)

        monkeypatch.setattr(Data2VecObjective, "loss", loss)
        try:
            pretrain(config, out, resume=begun, overwrite=not begun)
            break
        except Killed:
            kills += 1
            begun = RunFolder(out).can_resume
    assert kills == 20
    assert log_of(out) == log_of(tmp_path / "straight")
    assert log_of(out, "dev") == log_of(tmp_path / "straight", "dev")
    assert same_tensors(out, tmp_path / "straight")


def gradients_of(config: PretrainExperiment, batch: Any) -> tuple[float, list[torch.Tensor]]:
    task = build_objective(config)
    torch.manual_seed(0)
    loss = task.loss(batch)
    loss.total.backward()
    return float(loss.total.detach()), [p.grad for p in task.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    ("objective", "options"),
    [("hubert", {"clusters": 6, "projection_width": 8}), ("data2vec", {"top_layers": 2})],
)
def test_blocks_that_are_computed_twice_change_nothing(objective: str, options: dict[str, Any]) -> None:
    batch = Batch(*pad(noise(load_upstream("hubert", weights="random", **TOY), [0.9, 0.7])), ())
    found = [
        gradients_of(
            PretrainExperiment(
                upstream="hubert",
                upstream_options={**TOY, "gradient_checkpointing": twice, "layer_drop": 0.0},
                objective=objective,
                objective_options=options,
            ),
            batch,
        )
        for twice in (False, True)
    ]
    assert found[0][0] == found[1][0]
    for once, again in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(once, again, rtol=1e-5, atol=1e-7)


def test_bfloat16_stays_near_single_precision(corpus: Path, tmp_path: Path) -> None:
    settings = ("trainer.steps=3", "trainer.batches_per_step=1")
    runs = [
        pretrain(
            short_pretraining(corpus, *DATA2VEC, *settings, f"trainer.precision={precision}"), tmp_path / precision
        )
        for precision in ("fp32", "bf16")
    ]
    single, half = ([line["loss"] for line in log_of(run)] for run in runs)
    assert half == pytest.approx(single, rel=0.05)
    assert half != single


def test_a_dev_row_that_no_batch_can_hold_is_named_before_the_first_step(corpus: Path, tmp_path: Path) -> None:
    config = short_pretraining(corpus, "data.max_duration_s=0.3", "data.max_crop_s=0.2")
    with pytest.raises(ManifestError, match=r"lasts .* s, longer than max_duration_s=0\.3"):
        pretrain(config, tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()
