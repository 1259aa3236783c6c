"""Weights of an encoder on disk: what does not fit is an error that says how."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from toys.core import ToyConfig, ToyUpstream
from toys.tera import tiny

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint, read_tensors
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable
from audiossl.encoders.weights import load_upstream_weights, save_upstream


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_upstream(tiny(), tmp_path / "tera.safetensors", {"name": "mine"})
    return tmp_path / "tera.safetensors"


def test_an_upstream_is_read_as_it_was_saved(saved: Path) -> None:
    wavs = torch.randn(2, 4000)
    again = load_upstream(str(saved))
    assert fingerprint(again) == fingerprint(tiny())
    assert not again.training
    for first, second in zip(tiny()(wavs).layers, again(wavs).layers, strict=True):
        assert torch.equal(first, second)
    assert read_tensors(saved)[1]["card"] == {"name": "mine"}
    fresh = load_upstream(str(saved), weights="random", seed=1)
    assert fingerprint(fresh) != fingerprint(again)


def test_options_that_change_the_shape_do_not_fit(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the tera that .*tera\.safetensors describes\. missing: blocks\.2\."):
        load_upstream(str(saved), num_layers=3)


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_a_file_that_is_cut_off_names_itself_and_its_size(saved: Path, kept: float) -> None:
    whole = saved.read_bytes()
    part = whole[: int(kept * len(whole))] if isinstance(kept, float) else whole[:kept]
    saved.write_bytes(part)
    with pytest.raises(CheckpointError, match=rf"\({len(part)} bytes\) is not a whole safetensors file"):
        load_upstream(str(saved))


@pytest.mark.parametrize("content", [b"RIFF....WAVEfmt ", b"\xff" * 64, b"<html>404</html>" * 10])
def test_what_is_no_safetensors_file_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        load_upstream(str(path))
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        load_upstream(str(tmp_path / "none.safetensors"))


def test_weights_with_another_hash_than_their_card_says_are_refused(saved: Path) -> None:
    right = hashlib.sha256(saved.read_bytes()).hexdigest()
    load_upstream_weights(tiny(), saved, right)
    with pytest.raises(CheckpointError, match=r"has sha256 .*, not 000000000000\.\.\. as the card says"):
        load_upstream_weights(tiny(), saved, "0" * 64)


def test_an_upstream_that_has_no_name_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="ToyUpstream was not loaded by a registered name"):
        save_upstream(ToyUpstream(ToyConfig()), tmp_path / "x.safetensors")


def test_an_encoder_with_lora_is_merged_before_it_is_saved(tmp_path: Path) -> None:
    upstream = tiny()
    make_trainable(upstream, FinetuneConfig(mode="lora"))
    with pytest.raises(
        CheckpointError, match=r"has LoRA matrices beside its weights; call merge_lora\(upstream\) first"
    ):
        save_upstream(upstream, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())
