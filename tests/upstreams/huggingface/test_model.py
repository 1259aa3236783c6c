"""Encoders of transformers: parity with its own preprocessor and model, saving, training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.huggingface import CASES, expected, save

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable
from audiossl.encoders.testing import check_upstream, noise, pad, relative_distance
from audiossl.encoders.weights import save_upstream
from audiossl.upstreams.huggingface.convert import load_folder as load


@pytest.mark.parametrize("name", CASES)
def test_hidden_states_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = save(case, tmp_path)
    upstream = load(tmp_path)
    assert (upstream.stride, upstream.min_samples, upstream.sample_rate_hz) == (case.stride, case.shortest, 16000)
    lengths = [case.shortest, case.shortest + case.stride - 1, case.shortest + case.stride, 7777, 8000, 16000, 27123]
    for seed, samples in enumerate(lengths):
        wav = noise(upstream, [samples / 16000], seed)[0]
        with torch.no_grad():
            made = upstream(wav[None]).item(0)
        frames = upstream.num_frames(samples)
        theirs = expected(case, tmp_path, model, wav)
        assert len(made) == len(theirs) == upstream.num_layers
        for ours, state in zip(made, theirs, strict=True):
            assert frames <= state.shape[1]
            assert relative_distance(ours, state[0, :frames]) <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path)
    report = check_upstream(load(tmp_path))
    assert report.padding_error <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path / "folder")
    upstream = load(tmp_path / "folder")
    save_upstream(upstream, tmp_path / "encoder.safetensors")
    again = load_upstream(str(tmp_path / "encoder.safetensors"))
    wav = noise(upstream, [0.5])[0][None]
    with torch.no_grad():
        assert all(map(torch.equal, upstream(wav).layers, again(wav).layers))
        random = load_upstream(str(tmp_path / "encoder.safetensors"), weights="random", seed=3)(wav)
    assert not torch.equal(random.layers[-1], upstream(wav).layers[-1])


@pytest.mark.parametrize("name", ["wav2vec2-bert", "wav2vec2-conformer", "sew", "whisper", "parakeet"])
def test_training_keeps_layers_and_statistics(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path)
    upstream = load(tmp_path).train()
    before = {key: value.clone() for key, value in upstream.named_buffers() if "running" in key}
    for _ in range(3):  # no block is skipped, nothing is masked
        features = upstream(*pad(noise(upstream, [0.3, 0.5])))
        assert len(features.layers) == upstream.num_layers
    features.layers[-1].square().sum().backward()
    assert all(torch.equal(dict(upstream.named_buffers())[key], value) for key, value in before.items())
    assert any(p.grad is not None and bool(p.grad.any()) for p in upstream.parameters())


@pytest.mark.parametrize("name", CASES)
def test_the_last_block_can_be_fine_tuned_alone(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path)
    upstream = load(tmp_path).eval()
    wav = noise(upstream, [0.5])[0][None]
    before = upstream(wav).layers
    assert len(upstream.blocks) == upstream.num_layers - 1
    make_trainable(upstream, FinetuneConfig("top_k", top_k=1))
    trained = [parameter for parameter in upstream.parameters() if parameter.requires_grad]
    assert len(trained) == len(list(upstream.blocks[-1].parameters()))
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.1 * torch.randn_like(parameter))
    after = upstream(wav).layers
    torch.testing.assert_close(after[:-1], before[:-1])  # gradients are computed by other routines in some models
    assert relative_distance(after[-1], before[-1]) > 1e-3


def test_lora_takes_the_names_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    save(CASES["whisper"], tmp_path)
    upstream = load(tmp_path).eval()
    make_trainable(upstream, FinetuneConfig("lora", lora_rank=2, lora_targets=["q_proj", "v_proj"]))
    trained = [name for name, parameter in upstream.named_parameters() if parameter.requires_grad]
    assert len(trained) == 4 * len(upstream.blocks)
    assert all("lora_" in name for name in trained)
    with pytest.raises(ConfigError, match="q_proj"):
        make_trainable(load(tmp_path), FinetuneConfig("lora", lora_targets=["q_porj"]))


def test_rounded_positions_do_not_stay(tmp_path: Path) -> None:
    for name in ("wav2vec2-conformer", "wav2vec2-conformer rotary"):
        save(CASES[name], tmp_path / name)
        upstream = load(tmp_path / name)
        wav = noise(upstream, [0.5])[0][None]
        before = upstream(wav).layers
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            upstream(wav)
        after = upstream(wav).layers
        assert all(map(torch.equal, before, after))
        after[-1].sum().backward()


def test_the_name_alone_has_no_architecture() -> None:
    with pytest.raises(CheckpointError, match="architecture without weights"):
        load_upstream("huggingface", model={"model_type": "wav2vec2-bert", "num_hidden_layers": 0})
    with pytest.raises(ConfigError, match="no architecture of its own"):
        load_upstream("huggingface", weights="random")
