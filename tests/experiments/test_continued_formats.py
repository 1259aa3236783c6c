"""A pre-training is stopped, written as other toolkits do, and goes on from that: its loss is below a fresh start's."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toys.heads import log_of
from toys.miniatures import TOY, architecture, fairseq_state, in_torchaudio, in_transformers, shell, write
from toys.tera import short_pretraining

from audiossl.core.tensors import read_tensors
from audiossl.core.types import Batch
from audiossl.encoders.heads import published_heads
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.testing import noise, pad
from audiossl.experiments.building import build_objective
from audiossl.experiments.config import PretrainExperiment
from audiossl.experiments.continuing import load_init
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.training import pretrain

UNDROPPED = {"dropout": 0.0, "attention_dropout": 0.0, "feature_dropout": 0.0, "layer_drop": 0.0}
OPTIONS = {
    "wav2vec2": {"codes": 8, "code_width": 8, "projection_width": 8, "distractors": 5, "mask_span": 3},
    "hubert": {"clusters": 6, "projection_width": 8, "mask_span": 3},
}
# fairseq's names -> ours in a checkpoint.
WAV2VEC2 = {
    "quantizer.vars": "quantizer.entries",
    "quantizer.weight_proj.weight": "quantizer.logits.weight",
    "quantizer.weight_proj.bias": "quantizer.logits.bias",
    "project_q.weight": "project_targets.weight",
    "project_q.bias": "project_targets.bias",
    "final_proj.weight": "project_states.weight",
    "final_proj.bias": "project_states.bias",
}
HUBERT = {
    "final_proj.weight": "projections.0.weight",
    "final_proj.bias": "projections.0.bias",
    "label_embs_concat": "codewords.0",
}


def configured(corpus: Path, objective: str, *overrides: str) -> PretrainExperiment:
    config = short_pretraining(
        corpus, f"objective={objective}", "trainer.lr=3e-3", "trainer.schedule=constant", *overrides
    )
    # A bare file does not say how many heads of attention there are.
    options = {**UNDROPPED, "num_heads": TOY["num_heads"]} if config.init else {**TOY, **UNDROPPED}
    upstream = "" if config.init else objective
    return dataclasses.replace(
        config, upstream=upstream, upstream_options=options, objective_options=OPTIONS[objective]
    )


def heads_of(run: Path, names: dict[str, str]) -> dict[str, Tensor]:
    """The heads of a run's best checkpoint by fairseq's names."""
    state, _ = read_tensors(RunFolder(run).checkpoint("best"))
    heads = {theirs: state[ours] for theirs, ours in names.items()}
    if "quantizer.vars" in heads:
        heads["quantizer.vars"] = heads["quantizer.vars"].flatten(0, 1)[None]
    return heads


def as_fairseq(made: Any, heads: dict[str, Tensor], folder: Path) -> Path:
    content = shell(made, {**fairseq_state(made), **heads})
    content["cfg"]["model"] = architecture(made, made.name)
    return write(content, folder / "fairseq.pt")


def as_transformers(made: Any, heads: dict[str, Tensor], folder: Path) -> Path:
    for theirs, name in (("codevectors", "vars"), ("project_hid.weight", "final_proj.weight")):
        heads = {key.replace(name, theirs): value for key, value in heads.items()}
    return in_transformers(made, {k.replace("final_proj", "project_hid"): v for k, v in heads.items()}, folder / "hf")


def as_torchaudio(made: Any, heads: dict[str, Tensor], folder: Path) -> Path:
    named = {f"logit_generator.{name}": value for name, value in heads.items()}
    named["logit_generator.label_embeddings"] = named.pop("logit_generator.label_embs_concat")
    return in_torchaudio(made, named, folder / "torchaudio.pt")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "names", "writers"),
    [("wav2vec2", WAV2VEC2, (as_fairseq, as_transformers)), ("hubert", HUBERT, (as_fairseq, as_torchaudio))],
    ids=["wav2vec2", "hubert"],
)
def test_ten_steps_go_on_below_a_fresh_start(
    corpus: Path, tmp_path: Path, objective: str, names: dict[str, str], writers: tuple[Callable[..., Path], ...]
) -> None:
    before = pretrain(configured(corpus, objective, "trainer.steps=40"), tmp_path / "before")
    made = load_upstream(str(before))
    fresh = losses(pretrain(configured(corpus, objective, "trainer.steps=10", "seed=1"), tmp_path / "fresh"))
    ended = losses(before)[-10:]
    for number, writer in enumerate(writers):
        path = writer(made, heads_of(before, names), tmp_path)
        config = configured(corpus, objective, f"init={path}", "trainer.steps=10", "seed=1")
        found = losses(pretrain(config, tmp_path / f"continued{number}"))
        assert np.mean(found) < 0.9 * np.mean(fresh)
        assert found[0] < 1.2 * np.mean(ended)  # nothing was lost on the way


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in log_of(run)]


@pytest.mark.parametrize(
    ("file", "objective", "options", "parts"),
    [
        ("w2v2_base_args_zip.pt", "wav2vec2", {"codes": 5, "code_width": 8, "projection_width": 8}, 7),
        ("xlsr_plain.pt", "wav2vec2", {"codes": 5, "code_width": 8, "projection_width": 8}, 7),
        ("hubert_base_dictionary.pt", "hubert", {"clusters": 12, "projection_width": 8}, 3),
        ("data2vec_base_ema.pt", "data2vec", {"top_layers": 2}, 2),
    ],
)
def test_reference_checkpoints_give_all_their_heads(
    file: str, objective: str, options: dict[str, Any], parts: int
) -> None:
    folder = os.environ.get("AUDIOSSL_GOLDEN")
    if not folder:
        pytest.skip("AUDIOSSL_GOLDEN does not name the folder of reference checkpoints")
    path = Path(folder) / "formats" / file
    config, upstream = load_init(PretrainExperiment(init=str(path), objective=objective, objective_options=options))
    task = build_objective(config, upstream)
    assert len(task.take_heads(published_heads(str(path)))) == parts
    wavs, lengths = pad(noise(upstream, [1.2, 0.9]))
    batch = Batch(wavs, lengths, ())
    if task.needs_fit:
        task.fit([batch])
    assert bool(torch.isfinite(task.loss(batch).total))
