"""Distillation: the loss, crops and kept states, copied layers, resumed runs, faults."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet

from audiossl import Batch, check_objective, load_objective, load_upstream, pretrain, read_experiment, read_manifest
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.data.draws import crop
from audiossl.data.loader import collate
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.distil.objective import DistilConfig, DistilObjective, copy_weights, frame_losses
from audiossl.training.objective import Surroundings

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
SMALL = ["upstream=mel_transformer", *(f"upstream_options.{name}={value}" for name, value in TINY.items())]


def student(name: str = "mel_transformer", **options: Any) -> Any:
    return load_upstream(name, weights="random", **{**TINY, **options})


def distillation(**options: Any) -> DistilObjective:
    torch.manual_seed(0)
    made = load_objective("distil", student(), **{"teacher": "log_mel", "pairs": [[-1, 0]], **options})
    assert isinstance(made, DistilObjective)
    return made


def test_the_loss_is_the_equation() -> None:
    """Mean |p - h| - lambda log sigmoid cos(p, h), number by number."""
    draw = torch.Generator().manual_seed(0)
    p, h = torch.randn(1, 3, 5, generator=draw), torch.randn(1, 3, 5, generator=draw)
    made = frame_losses(p, h)
    for t in range(3):
        a, b = p[0, t].tolist(), h[0, t].tolist()
        distance = sum(abs(x - y) for x, y in zip(a, b, strict=True)) / 5
        cosine = sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
        assert float(made[0, 0, t]) == pytest.approx(distance, rel=1e-5)
        assert float(made[1, 0, t]) == pytest.approx(math.log(1 + math.exp(-cosine)), rel=1e-5)


def test_the_loss_of_a_batch_is_over_real_frames_of_all_pairs() -> None:
    task = distillation(teacher="tera_mini", pairs=[[1, 1], [-1, 3]], cosine=0.5).eval()
    batch = Batch(*pad(noise(task.upstream, [0.5, 0.3])))
    loss = task.loss(batch)
    students, teachers = task.upstream(batch.wavs, batch.lengths), task.teacher.encoder(batch.wavs, batch.lengths)
    total, count = torch.zeros(()), 0
    for item in range(2):
        mine, theirs = students.item(item), teachers.item(item)
        for head, s, t in ((task.heads[0], 1, 1), (task.heads[1], 2, 3)):
            goal = theirs[t][::2]  # 100 frames a second, the student has 50
            size = min(len(goal), len(mine[s]))
            parts = frame_losses(head(mine[s])[None, :size], goal[None, :size])
            total = total + (parts[0] + 0.5 * parts[1]).sum() / 2
        count += size
    assert float(loss.weight) == count
    torch.testing.assert_close(loss.total, total / count)


@pytest.mark.parametrize(
    "options",
    [
        {"standardize": True, "num_places": 8},
        {"mask_prob": 0.4, "augment": {"noise": 0.5, "channel": 0.5, "gain_db": 3.0}, "teacher_hears": "clean"},
    ],
    ids=["standardised", "masked and changed"],
)
def test_the_contract_holds_in_other_settings(options: dict[str, Any]) -> None:
    check_objective(distillation(**options), steps=3)


def test_kept_states_of_a_crop_are_those_of_its_place(corpus: Path) -> None:
    rows = list(read_manifest(corpus / "train.jsonl.gz"))[:3]
    task = distillation(states="cache")
    encoder, asked = task.teacher.encoder, []

    def keep_states(upstream: Any, layers: Any) -> Any:
        asked.append((upstream, layers))
        return lambda cuts: encoder(*(lambda batch: (batch.wavs, batch.lengths))(collate(cuts, 16000)))

    data = read_experiment(None, SMALL, pretrain=True).data
    task.prepare(Surroundings({"train": CutSet.from_cuts(rows)}, data, torch.device("cpu"), keep_states))
    assert asked == [(encoder, (0,))]
    crops = [crop(row, 0.2, seed=1, epoch=0) for row in rows]
    assert any(cut.start > row.start for cut, row in zip(crops, rows, strict=True))
    states = task.teacher.states(collate(crops, 16000), 16000)
    for item, (cut, row) in enumerate(zip(crops, rows, strict=True)):
        assert float(states.first[item]) == pytest.approx((cut.start - row.start) * 100, abs=1e-3)
    assert math.isfinite(float(task.loss(collate(crops, 16000)).total))


def test_copied_layers(caplog: pytest.LogCaptureFixture) -> None:
    teacher, small = student("hubert", **_waveform(3)), student("hubert", **_waveform(2))
    names = copy_weights(teacher, small)
    assert {"blocks.0.qkv.weight", "blocks.1.down.bias", "project.weight"} <= set(names)
    assert torch.equal(small.blocks[1].up.weight, teacher.blocks[1].up.weight)
    with pytest.raises(ConfigError, match="different families"):
        distillation(copy_layers=True)


def _waveform(num_layers: int) -> dict[str, Any]:
    convs = {"conv_widths": (8, 8), "conv_kernels": (10, 8), "conv_strides": (10, 32)}
    return {**convs, "num_layers": num_layers, "position_kernel": 4, "position_groups": 2}


def settings(corpus: Path, folder: Path, *more: str) -> Any:
    base = [*SMALL, "objective=distil", "objective_options.teacher=log_mel", "objective_options.pairs=[[2,0]]"]
    base += [f"data.dir={corpus}", f"cache.dir={folder / 'cache'}", "data.batch_size=4", "data.max_crop_s=0.3"]
    base += ["objective_options.standardize=true", "objective_options.num_places=20", "objective_options.fit_batches=3"]
    return read_experiment(None, [*base, "trainer.steps=6", "trainer.eval_every=3", *more], pretrain=True)


def test_a_run_reads_kept_states_resumes_exactly_and_refuses_another_teacher(corpus: Path, tmp_path: Path) -> None:
    whole = pretrain(settings(corpus, tmp_path), tmp_path / "whole")
    assert any((tmp_path / "cache").iterdir())
    part = pretrain(settings(corpus, tmp_path, "trainer.steps=3"), tmp_path / "part")
    pretrain(settings(corpus, tmp_path), part, resume=True)
    one, two = (load_upstream(str(folder)) for folder in (whole, part))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    stored = (whole / "checkpoints" / "last.safetensors").read_bytes()
    assert b"teacher_fingerprint" in stored
    other = settings(
        corpus,
        tmp_path,
        "trainer.steps=9",
        "objective_options.teacher_options={sample_rate_hz: 16000, num_features: 40}",
    )
    with pytest.raises(CheckpointError, match="not the one that this run was trained with"):
        pretrain(other, part, resume=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pairs": [[1]]}, r"must list \[student layer, teacher layer\]"),
        ({"pairs": []}, "must list"),
        ({"num_places": 4}, "set standardize=true"),
        ({"states": "cache", "augment": {"noise": 0.5}}, "no states of changed sound"),
    ],
)
def test_faults(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        distillation(**options)


def test_what_the_student_lacks_is_said() -> None:
    with pytest.raises(ConfigError, match="mask_prob needs a student with"):
        load_objective("distil", load_upstream("log_mel"), teacher="log_mel", pairs=[[0, 0]], mask_prob=0.5)
    config = DistilConfig(teacher="log_mel", pairs=[[9, 0]])
    with pytest.raises(ConfigError, match="The student has layers 0 to 2"):
        DistilObjective(student(), config)


def test_speeds_and_kept_states_do_not_go_together(corpus: Path, tmp_path: Path) -> None:
    asked = settings(corpus, tmp_path, "data.speeds=[0.9,1.0]", "objective_options.states=cache")
    with pytest.raises(ConfigError, match="of which the cache has no states"):
        pretrain(asked, tmp_path / "run")
