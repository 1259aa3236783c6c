"""Weights on disk: what does not fit is an error that says how, and no file chooses what code runs."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from toys.core import TINY_TERA, ToyConfig, ToyUpstream

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError, ConfigError, UnknownNameError
from audiossl.core.files import atomic_write
from audiossl.core.tensors import fingerprint, load_strict, read_tensors, write_tensors
from audiossl.encoders.formats.pickled import read_pickled
from audiossl.encoders.weights import load_upstream_weights, save_upstream
from audiossl.upstreams.tera.convert import from_original, to_original


def tiny(name: str = "tera", **options: Any) -> Any:
    return load_upstream(name, weights="random", **{**TINY_TERA, **options})


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


def test_a_folder_stands_for_the_upstream_in_it(saved: Path) -> None:
    saved.rename(saved.with_name("upstream.safetensors"))
    assert load_upstream(str(saved.parent)).widths == (16, 16, 16)


def test_options_that_change_the_shape_do_not_fit(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not fit Tera\. missing: blocks\.2\."):
        load_upstream(str(saved), num_layers=3)


def test_the_error_lists_what_is_missing_what_is_unexpected_and_what_has_another_shape() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    del state["1.bias"]
    state |= {"extra": torch.zeros(1), "0.weight": torch.zeros(2, 2)}
    with pytest.raises(CheckpointError) as caught:
        load_strict(module, state, expected=module.state_dict(), what="the model")
    assert str(caught.value) == (
        "The checkpoint does not fit the model. missing: 1.bias; unexpected: extra; "
        "wrong shape: 0.weight (2, 2) instead of (3, 2)."
    )
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())  # nothing was copied
    many = {f"layer.{number}": torch.zeros(1) for number in range(30)}
    with pytest.raises(CheckpointError, match="and 22 more"):
        load_strict(module, {**module.state_dict(), **many}, expected=module.state_dict(), what="the model")


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


def test_a_safetensors_file_of_somebody_else_is_not_an_upstream(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="is no checkpoint of a known family .*it holds: a"):
        load_upstream(str(tmp_path / "x.safetensors"))


def test_a_file_cannot_name_code_to_import(tmp_path: Path) -> None:
    described = {"upstream": "os:system", "options": {"command": "touch here"}}
    write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, described)
    with pytest.raises(UnknownNameError, match="There is no upstream named 'os:system'"):
        load_upstream(str(tmp_path / "x.safetensors"))


def test_weights_with_another_hash_than_their_card_says_are_refused(saved: Path) -> None:
    right = hashlib.sha256(saved.read_bytes()).hexdigest()
    load_upstream_weights(tiny(), saved, right)
    with pytest.raises(CheckpointError, match=r"has sha256 .*, not 000000000000\.\.\. as the card says"):
        load_upstream_weights(tiny(), saved, "0" * 64)


def test_random_weights_are_only_given_where_they_are_asked_for() -> None:
    with pytest.raises(CheckpointError, match="names an architecture without weights"):
        load_upstream("tera")
    with pytest.raises(ConfigError, match="choose 'pretrained' or 'random'"):
        load_upstream("tera", weights="none")


def test_the_fingerprint_is_that_of_weights_and_configuration() -> None:
    one, same, other = tiny(), tiny(), tiny(num_heads=4)
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)  # the same tensors in another model
    with torch.no_grad():
        next(same.parameters()).view(-1)[0].add_(1e-6)
    assert fingerprint(one) != fingerprint(same)
    assert len(fingerprint(nn.BatchNorm1d(2))) == 64  # has a tensor without dimensions


def test_an_upstream_that_has_no_name_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="ToyUpstream was not loaded by a registered name"):
        save_upstream(ToyUpstream(ToyConfig()), tmp_path / "x.safetensors")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


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


def original(shared: bool = False) -> dict[str, Any]:
    """What s3prl would have saved for a tiny TERA."""
    model = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": "1.0e-12",
        "share_layer": shared,
    }
    audio = {"input": {"feat_type": "mel", "log": True, "delta": 0, "cmvn": True}, "n_mels": 80, "target_level": -25}
    state = to_original(tiny("audio_albert" if shared else "tera").state_dict(), num_layers=2)
    return {
        "Transformer": state,
        "SpecHead": {"dense.weight": torch.zeros(2, 2)},
        "Upstream_Config": {"transformer": model, "audio": audio},
        "Settings": Namespace(anything="at all"),
        "Step": 3,
    }


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("zipped", [True, False])
def test_an_s3prl_file_is_read(tmp_path: Path, shared: bool, zipped: bool) -> None:
    torch.save(original(shared), tmp_path / "states.ckpt", _use_new_zipfile_serialization=zipped)
    upstream = load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}")
    assert fingerprint(upstream) == fingerprint(tiny("audio_albert" if shared else "tera"))
    save_upstream(upstream, tmp_path / "mine.safetensors")
    assert fingerprint(load_upstream(str(tmp_path / "mine.safetensors"))) == fingerprint(upstream)


class Touch:
    """Unpickling this calls os.system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "states.ckpt", tmp_path / "it-ran"
    evil = {**original(), "Settings": Touch(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(Touch(trace)))
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match="holds pickled code that audiossl does not run"):
        load_upstream(f"s3prl:{path}")
    assert not trace.exists()
    if form == "pickle":  # the trap does work
        pickle.loads(path.read_bytes())  # noqa: S301
        assert trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_torch_file_that_is_cut_off_is_one_sentence(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "states.ckpt"
    torch.save(original(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"is not a whole torch checkpoint|is damaged") as caught:
        load_upstream(f"s3prl:{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_one_sentence(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "states.ckpt"
    noise = torch.randint(256, (400,), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    path.write_bytes((b"\x80\x02" if seed % 2 else b"") + noise.numpy().tobytes())
    with pytest.raises(CheckpointError):
        read_pickled(path)


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


def test_sources_that_are_unknown_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="unknown source 'espnet'"):
        load_upstream("espnet:x.pth")
    with pytest.raises(CheckpointError, match="there is no file or folder"):
        load_upstream(f"s3prl:{tmp_path / 'none.ckpt'}")
    torch.save(original(), tmp_path / "states.ckpt")
    with pytest.raises(ConfigError, match="there is no key 'widht'"):
        load_upstream(f"s3prl:{tmp_path / 'states.ckpt'}", widht=3)


@pytest.mark.slow
def test_real_files_are_read_or_refused_in_one_sentence() -> None:
    folder = os.environ.get("AUDIOSSL_GOLDEN")
    if not folder:
        pytest.skip("AUDIOSSL_GOLDEN does not name the folder of reference checkpoints")
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".ckpt", ".pt", ".pth"))
    read, refused = [], []
    for path in paths:
        try:
            upstream = load_upstream(f"s3prl:{path}")
        except CheckpointError as error:
            refused.append(str(error))
        else:
            read.append(path.stem)
            assert all(state.isfinite().all() for state in upstream(torch.randn(1, 16000)).layers)
    assert "tera" in read
    assert refused
    assert not [message for message in refused if "\n" in message]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error")])
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, {})

    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr("audiossl.core.tensors.save_file", fail)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(CheckpointError, match=r"x\.safetensors could not be written: the disk is full\. Free some"):
        write_tensors(path, {"a": torch.zeros(3)}, {})
    assert torch.equal(read_tensors(path)[0]["a"], torch.ones(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.safetensors"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    if isinstance(failure, SafetensorError):
        with pytest.raises(SafetensorError):
            write_tensors(path, {"a": torch.zeros(3)}, {})
