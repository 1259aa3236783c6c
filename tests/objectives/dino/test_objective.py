"""Self-distillation of utterances: the loss, the centre, views, collapse."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from audiossl import Batch, check_objective, load_objective, load_upstream, pretrain, read_experiment
from audiossl.core.errors import TrainingError
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.dino.objective import DinoObjective, spreads

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
SMALL: dict[str, Any] = {"outputs": 12, "hidden_width": 8, "bottleneck": 4, "long_s": 0.4, "short_s": 0.2}


def objective(**options: Any) -> DinoObjective:
    torch.manual_seed(0)
    upstream = load_upstream("mel_transformer", weights="random", **TINY)
    made = load_objective("dino", upstream, **{**SMALL, **options})
    assert isinstance(made, DinoObjective)
    return made


def batch_of(task: DinoObjective, seconds: tuple[float, ...] = (0.8, 0.5)) -> Batch:
    return Batch(*pad(noise(task.upstream, seconds)))


def test_the_loss_is_the_equation() -> None:
    task = objective(augment={"reverb": 0.0, "channel": 0.0, "noise": 0.0, "gain_db": 0.0}).eval()
    task.centre.normal_(generator=torch.Generator().manual_seed(0))
    batch = batch_of(task)
    views = [*task._views(batch, "long", 2), *task._views(batch, "short", 4)]
    outputs = [task.head(task.pooling(f.layers[-1], f.lengths)) for f in (task.upstream(w, n) for w, n in views)]
    total = 0.0
    for i in range(2):  # the teacher is the student still
        for j in range(6):
            if i != j:
                target = ((outputs[i] - task.centre) / 0.04).softmax(-1)
                total += float(-(target * (outputs[j] / 0.1).log_softmax(-1)).sum(-1).mean().detach()) / 10
    assert float(task.loss(batch).total) == pytest.approx(total, rel=1e-4)


def test_crops_are_as_long_as_asked_or_as_there_is_sound() -> None:
    task = objective(long_s=0.4, short_s=0.3)
    batch = batch_of(task, (0.8, 0.25))
    assert task._views(batch, "long", 1)[0][1].tolist() == [6400, 4000]
    assert task._views(batch, "short", 1)[0][1].tolist() == [4800, 2000]
    check_objective(task, steps=3)


def test_teacher_and_centre_follow_and_are_saved() -> None:
    task = objective(first_momentum=0.9, centre_momentum=0.5).train()
    batch = batch_of(task)
    before = copy.deepcopy(task.teacher.model.state_dict())
    with torch.no_grad():
        task.loss(batch)
        for parameter in task.upstream.parameters():
            parameter.add_(1.0)
    task.after_step(0)
    moved = task.teacher.model.get_parameter("norm.weight") - before["norm.weight"]
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1), rtol=1e-4, atol=1e-5)
    assert bool(task.centre.any())
    centre = task.centre.clone()
    task.after_step(1)  # nothing was seen since
    assert torch.equal(task.centre, centre)
    assert {"centre", "teacher.model.norm.weight"} <= task.trainable_state().keys()


def test_a_run_goes_on_exactly(corpus: Path, tmp_path: Path) -> None:
    def run(folder: str, steps: int, resume: bool = False) -> Path:
        options = "{outputs: 12, hidden_width: 8, bottleneck: 4, long_s: 0.4, short_s: 0.2, first_momentum: 0.5}"
        settings = ["upstream=mel_transformer", *(f"upstream_options.{name}={value}" for name, value in TINY.items())]
        settings += ["objective=dino", f"objective_options={options}", f"data.dir={corpus}", "data.batch_size=4"]
        settings += [f"trainer.steps={steps}", "trainer.eval_every=0", "trainer.batches_per_step=2"]
        return pretrain(read_experiment(None, settings, pretrain=True), tmp_path / folder, resume=resume)

    whole = run("whole", 4)
    run("part", 2)
    part = run("part", 4, resume=True)
    states = [load_file(folder / "checkpoints" / "last.safetensors") for folder in (whole, part)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_collapse_is_seen() -> None:
    apart = torch.eye(4).expand(2, 4, 4)
    alike = torch.eye(4)[:1].expand(2, 4, 4)
    assert float(spreads(apart)["perplexity"]) == pytest.approx(4)
    assert float(spreads(alike)["perplexity"]) == pytest.approx(1)
    assert float(spreads(torch.full((2, 4, 4), 0.25))["sharpness"]) == pytest.approx(0, abs=1e-6)
    task = objective()
    figures = {"perplexity": 1.0, "sharpness": 1.0}
    for step in range(1000, 1019):
        task.watch(step, figures)
    with pytest.raises(TrainingError, match="perplexity is 1"):
        task.watch(1019, figures)
