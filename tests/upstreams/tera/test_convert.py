"""TERA as s3prl saves it, there and back, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys.tera import original, tiny

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.weights import save_upstream
from audiossl.upstreams.tera.convert import from_original, to_original


@pytest.mark.parametrize("name", ["tera", "audio_albert"])
def test_conversion_there_and_back_is_identity(name: str) -> None:
    upstream = tiny(name)
    state = upstream.state_dict()
    theirs = to_original(state, num_layers=2)
    assert sum(key.endswith("attention.self.query.weight") for key in theirs) == 2  # shared blocks are repeated
    ours = from_original(theirs)
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[key], state[key]) for key in state)
    again = to_original(ours, num_layers=2)
    assert all(torch.equal(again[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("zipped", [True, False])
def test_an_s3prl_file_is_read(tmp_path: Path, shared: bool, zipped: bool) -> None:
    torch.save(original(shared), tmp_path / "states.ckpt", _use_new_zipfile_serialization=zipped)
    upstream = load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}")
    assert fingerprint(upstream) == fingerprint(tiny("audio_albert" if shared else "tera"))
    save_upstream(upstream, tmp_path / "mine.safetensors")
    assert fingerprint(load_upstream(str(tmp_path / "mine.safetensors"))) == fingerprint(upstream)


def test_half_the_layers_are_listed_as_missing(tmp_path: Path) -> None:
    half = original()
    state = half["Transformer"]
    half["Transformer"] = {name: value for name, value in state.items() if "encoder.layer.1." not in name}
    torch.save(half, tmp_path / "states.ckpt")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.1\.\S+, .* and 4 more"):
        load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}")


def test_a_name_that_no_model_of_the_family_has_shows(tmp_path: Path) -> None:
    odd = original()
    odd["Transformer"]["encoder.adapter.weight"] = torch.zeros(1)
    torch.save(odd, tmp_path / "states.ckpt")
    with pytest.raises(CheckpointError, match=r"unexpected: encoder\.adapter\.weight"):
        load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"model": {"w": torch.zeros(1)}, "args": 3},
            r"not one of s3prl|no checkpoint of a known family .*it holds: model, args",
        ),
        ([1, 2], "holds a list, not a checkpoint with named parts"),
    ],
)
def test_a_file_of_another_family_says_what_it_holds(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "states.ckpt")
    with pytest.raises(CheckpointError, match=message):
        load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}")
