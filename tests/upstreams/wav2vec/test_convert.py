"""Checkpoints of fairseq and s3prl: names there and back, what describes them, what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl import load_objective, load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.heads import published_heads
from audiossl.encoders.testing import noise
from audiossl.upstreams.wav2vec.convert import from_original, to_original

CONVS = [(16, 10, 10), (16, 8, 8), (16, 4, 2)]
COMMON = {
    "conv_feature_layers": str(CONVS),
    "conv_aggregator_layers": "[(16, 2, 1), (16, 3, 1)]",
    "skip_connections_agg": True,
    "residual_scale": 0.5,
    "aggregator": "cnn",
    "num_negatives": 10,
    "prediction_steps": 4,
}
SAID: dict[str, dict[str, Any]] = {
    "wav2vec": {**COMMON, "log_compression": True},
    "gumbel": {**COMMON, "activation": "gelu", "vq_type": "gumbel", "vq_groups": 2, "combine_groups": True},
    "kmeans": {**COMMON, "activation": "gelu", "vq_type": "kmeans", "vq_groups": 2, "vq_gamma": 0.5},
}


def published(kind: str) -> dict[str, Tensor]:
    """A small random state under the names of the published files, predictions included."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = {}
    inputs = 1
    for number, (width, kernel, _) in enumerate(CONVS):
        state[f"feature_extractor.conv_layers.{number}.0.weight"] = torch.randn(width, inputs, kernel)
        inputs = width
        for name in ("weight", "bias"):
            state[f"feature_extractor.conv_layers.{number}.2.{name}"] = torch.randn(width)
    if kind == "gumbel":
        state["vector_quantizer.vars"] = torch.randn(1, 8, 8)
        for name, shape in {"0.0.weight": (32, 16), "0.0.bias": (32,), "1.weight": (16, 32), "1.bias": (16,)}.items():
            state[f"vector_quantizer.weight_proj.{name}"] = torch.randn(shape)
    if kind == "kmeans":
        state["vector_quantizer.embedding"] = torch.randn(8, 2, 8)
        state["vector_quantizer.projection.0.weight"] = torch.randn(16, 8, 1)
        for name in ("weight", "bias"):
            state[f"vector_quantizer.projection.1.{name}"] = torch.randn(16)
    for number, kernel in enumerate((2, 3)):
        state[f"feature_aggregator.conv_layers.{number}.1.weight"] = torch.randn(16, 16, kernel)
        for name in ("1.bias", "3.weight", "3.bias"):
            state[f"feature_aggregator.conv_layers.{number}.{name}"] = torch.randn(16)
    state["wav2vec_predictions.project_to_steps.weight"] = torch.randn(16, 16, 1, 4)
    state["wav2vec_predictions.project_to_steps.bias"] = torch.randn(16)
    return state


def file_of(kind: str, path: Path, **more: Any) -> Path:
    content = {"args": argparse.Namespace(**{**SAID[kind], **more}), "model": published(kind)}
    torch.save(content, path)
    return path


@pytest.mark.parametrize("kind", SAID)
def test_a_file_of_fairseq_loads_and_names_go_there_and_back(kind: str, tmp_path: Path) -> None:
    path = file_of(kind, tmp_path / "näme.pt")
    made: Any = load_upstream(f"fairseq:{path}")
    state = {name: value for name, value in published(kind).items() if not name.startswith("wav2vec_predictions")}
    back = to_original(made.state_dict())
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    ours = from_original(state, made.config.codes)
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in ours.items())
    config = made.config
    assert config.log_compression is (kind == "wav2vec") and config.skip_connections
    assert (config.activation, config.residual_scale) == ("relu" if kind == "wav2vec" else "gelu", 0.5)
    if kind != "wav2vec":
        assert (config.quantizer, config.groups, config.codes, config.code_width) == (kind, 2, 8, 16)
        assert config.shared_codes is (kind == "gumbel")
    wav = noise(made, [0.2])[0][None]
    assert bool(made(wav).layers[-1].isfinite().all())
    # As s3prl converted it, and inside another model.
    torch.save({"task_cfg": {}, "model_cfg": SAID[kind], "model_weight": published(kind)}, tmp_path / "s3prl.pt")
    again = load_upstream(f"s3prl:{tmp_path / 's3prl.pt'}")
    assert torch.equal(again(wav).layers[-1], made(wav).layers[-1])


def test_published_predictions_are_those_of_cpc(tmp_path: Path) -> None:
    path = file_of("wav2vec", tmp_path / "wav2vec.pt")
    task: Any = load_objective("cpc", load_upstream(str(path)), steps=4)
    heads = published_heads(str(path))
    assert sorted(task.take_heads(heads)) == ["predict_steps.bias", "predict_steps.weight"]
    x = torch.randn(5, 16)
    weight, bias = (published("wav2vec")[f"wav2vec_predictions.project_to_steps.{kind}"] for kind in ("weight", "bias"))
    theirs = torch.nn.functional.conv_transpose2d(x.T[None, :, :, None], weight, bias)[0]  # (F, T, K)
    torch.testing.assert_close(task.predict_steps(x).unflatten(-1, (4, 16)), theirs.permute(1, 2, 0))
    assert task.take_heads({}) == ()


def test_what_is_refused_is_said(tmp_path: Path) -> None:
    for more, said in (
        ({"aggregator": "gru"}, "with a recurrent aggregator, which audiossl does not have"),
        ({"skip_connections_feat": True}, "shortcuts between its first convolutions"),
        ({"conv_feature_layers": "[(16, 10"}, "cannot be read"),
    ):
        with pytest.raises(CheckpointError, match=said):
            load_upstream(str(file_of("wav2vec", tmp_path / "x.pt", **more)))
    torch.save(published("wav2vec"), tmp_path / "bare.pt")
    with pytest.raises(
        CheckpointError, match=r"bare\.pt has weights of a wav2vec encoder and does not say its strides"
    ):
        load_upstream(str(tmp_path / "bare.pt"))
    state = published("gumbel")
    del state["feature_aggregator.conv_layers.1.3.bias"]
    torch.save({"args": argparse.Namespace(**SAID["gumbel"]), "model": state}, tmp_path / "cut.pt")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.1\.norm\.bias"):
        load_upstream(str(tmp_path / "cut.pt"))
