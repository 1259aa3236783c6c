"""Parameters that processes share: the losses of one process, checkpoints for any number of them, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn
from toys.core import ROOT, ToyTask
from toys.heads import log_of
from toys.miniatures import TOY
from toys.tera import short_pretraining

from audiossl import load_upstream
from audiossl.core.config import save_yaml
from audiossl.core.errors import ConfigError
from audiossl.core.tensors import read_tensors
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.training import pretrain
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext
from audiossl.training.sharding import check_sharding

SIZES = {**TOY, "conv_widths": list(TOY["conv_widths"])}
WAVES = ["upstream=hubert", *(f"upstream_options.{key}={value}" for key, value in SIZES.items())]
HUBERT = [*WAVES, "objective=hubert", "objective_options={clusters: 6, projection_width: 8, mask_span: 3}"]
MEL = ["upstream=mel_transformer"]
# With an averaged teacher and statistics, and with blocks that are computed twice.
RUNS = {
    "data2vec": [
        *("upstream=tera", "upstream_options.normalize=global", "objective=data2vec"),
        "objective_options={top_layers: 2, mask_span: 3, first_tau: 0.9, last_tau: 0.9}",
    ],
    "best_rq": [
        *(*WAVES, "upstream_options.layer_drop=0", "upstream_options.gradient_checkpointing=true"),
        *("objective=best_rq", "objective_options={num_codes: 16, mask_span: 3}"),
    ],
}
OTHERS = {
    "bf16": [*RUNS["data2vec"], "trainer.precision=bf16"],
    "data2vec2": [
        *MEL,
        "objective=data2vec",
        "objective_options={top_layers: 2, mask_span: 3, copies: 2, decoder_layers: 1, decoder_width: 16}",
    ],
    "dino": [
        *(*MEL, "objective=dino"),
        "objective_options={outputs: 12, hidden_width: 8, bottleneck: 5, long_s: 0.2, short_s: 0.1}",
    ],
    "distil": [*MEL, "objective=distil", "objective_options={teacher: tera_mini, pairs: [[1, 1], [2, 3]]}"],
    "dropped": [*HUBERT, "upstream_options.layer_drop=0.5", "trainer.sharding=none"],
    "frozen": [*HUBERT, "upstream_options.layer_drop=0", "freeze=[stem,blocks.0]"],
    "hubert": [*HUBERT, "upstream_options.layer_drop=0"],
    "joint": [
        *(*MEL, "objective=joint"),
        "objective_options.terms={best_rq: {options: {num_codes: 16}}, "
        "distil: {options: {teacher: tera_mini, pairs: [[1, 3]]}}}",
    ],
    "masked_contrast": [
        *("upstream=bert", "upstream_options.encoder=tera_mini", "objective=masked_contrast"),
        "objective_options={distractors: 5, projection_width: 8, mask_span: 3}",
    ],
    "sgd": [*RUNS["data2vec"], "trainer.optimizer=sgd", "trainer.clip=0.1"],
    "tera": ["upstream=audio_albert"],
    "views": [*MEL, "objective=views", "objective_options.view_s=0.2"],
    "wav2vec2": [
        *(*WAVES, "upstream_options.layer_drop=0", "objective=wav2vec2"),
        "objective_options={codes: 8, code_width: 8, projection_width: 8, distractors: 5, mask_span: 3}",
    ],
    "wavlm": [
        *(*WAVES, "upstream=wavlm", "upstream_options.layer_drop=0", "objective=wavlm"),
        "objective_options={clusters: 6, projection_width: 8, mask_span: 3}",
    ],
}


def trained(runs: Mapping[str, Sequence[str]], corpus: Path, folder: Path, more: Sequence[str]) -> None:
    """Each run in one process (NAME_one), in two that begin twice (NAME), begun in two and ended in one (NAME_half)."""
    shared = ["trainer.steps=6", "trainer.schedule=constant", "trainer.eval_every=3", "trainer.device=cpu", *more]
    alone = {}
    for name, overrides in runs.items():
        config = short_pretraining(corpus, *shared, "trainer.sharding=full", *overrides)
        save_yaml(config, folder / f"{name}.yaml")
        alone[name] = short_pretraining(corpus, *shared, *overrides, "trainer.sharding=none")
        pretrain(alone[name], folder / f"{name}_one")
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "--module", "toys.sharded"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    for name, config in alone.items():
        if "trainer.sharding=none" not in runs[name]:
            sizes = [json.loads((folder / name / f"shares.{rank}.json").read_text()) for rank in range(2)]
            assert sum(size["own"] for size in sizes) == sizes[0]["whole"]
            assert max(size["own"] for size in sizes) < 0.55 * sizes[0]["whole"]
        pretrain(config, folder / f"{name}_half", resume=True)


def assert_same(one: Path, other: Path, tolerance: float) -> None:
    """Losses, norms and what the files of two runs hold."""
    for split, number in (("train", 6), ("dev", 2)):
        first, second = log_of(one, split), log_of(other, split)
        assert len(first) == len(second) == number
        for line, found in zip(first, second, strict=True):
            assert found.keys() == line.keys()
            for figure in (key for key in line if key in ("loss", "probe_accuracy") or key.startswith("grad_norm")):
                assert found[figure] == pytest.approx(line[figure], rel=tolerance, abs=tolerance), figure
    for kind in ("last", "best"):
        (state, said), (found, says) = (read_tensors(RunFolder(run).checkpoint(kind)) for run in (one, other))
        assert {name: value.shape for name, value in state.items()} == {name: v.shape for name, v in found.items()}
        assert said["step"] == says["step"]


def check(runs: Mapping[str, Sequence[str]], corpus: Path, folder: Path, *more: str) -> None:
    trained(runs, corpus, folder, more)
    for name in runs:
        tolerance = 1e-2 if name == "bf16" else 1e-5
        for other in (name, f"{name}_half"):
            assert_same(folder / f"{name}_one", folder / other, tolerance)
        one, two = (load_upstream(str(folder / run)).state_dict() for run in (f"{name}_one", name))
        for key in one:
            torch.testing.assert_close(one[key], two[key], rtol=0.1, atol=0.01, msg=key)


def mix_of(corpus: Path) -> str:
    """Two parts of the training rows, so that what is mixed is shared by processes as well."""
    rows = list(read_manifest(corpus / "train.jsonl.gz"))
    write_manifests({"first": rows[::2], "second": rows[1::2]}, corpus.parent / "mixed")
    return "{" + ", ".join(f"{corpus.parent / 'mixed' / name}.jsonl.gz: 0.5" for name in ("first", "second")) + "}"


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(corpus: Path, tmp_path: Path) -> None:
    mixed = [*RUNS["data2vec"], "trainer.sharding=none", f"data.mix={mix_of(corpus)}"]
    check({**RUNS, "mixed": mixed}, corpus, tmp_path)
    for name in ("data2vec", "mixed"):
        states = [read_tensors(RunFolder(tmp_path / run).checkpoint("best"))[0] for run in (f"{name}_one", name)]
        for key in (key for key in states[0] if key.startswith("teacher.")):
            torch.testing.assert_close(states[0][key], states[1][key], rtol=1e-5, atol=1e-6)
    assert json.loads((tmp_path / "mixed" / "run.json").read_text())["processes"] == 2


@pytest.mark.slow
@pytest.mark.long
def test_so_they_do_under_every_objective(corpus: Path, tmp_path: Path) -> None:
    """A probe is computed by the first process alone, from whole parameters."""
    check(OTHERS, corpus, tmp_path, "trainer.average_best=2", "probe.every=3", f"probe.dir={corpus}")


def test_one_process_has_nobody_to_share_with() -> None:
    with pytest.raises(ConfigError, match="between processes, and there is only one; start several with torchrun"):
        TrainingContext(ToyTask(), TrainerConfig(sharding="full", device="cpu"), 0)


def test_what_has_no_blocks_is_refused() -> None:
    with pytest.raises(ConfigError, match="by the Transformer blocks that are pre-trained, and ToyTask has none"):
        check_sharding(ToyTask(), 2)


def test_parameters_without_a_dimension_are_refused() -> None:
    class Scaled(ToyTask):
        def sharded_modules(self) -> list[nn.Module]:
            return [self.linear]

    task = Scaled()
    check_sharding(task, 2)
    task.scale = nn.Parameter(torch.ones(()))
    with pytest.raises(ConfigError, match=r"Scaled has scale; give them the shape \(1,\)"):
        check_sharding(task, 2)
