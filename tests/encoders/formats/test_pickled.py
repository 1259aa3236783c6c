"""Torch files of others: carriers of data are read, code is never run, damage is one sentence."""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import types
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import torch
from toys.tera import original

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.pickled import plain, read_pickled


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two classes under published names and one under a name of nobody, importable while a file is written."""
    made: dict[str, Any] = {
        "Choices": Enum("Choices", {"layer_norm": "layer_norm"}, type=str),
        "Carrier": type("Carrier", (), {}),
        "Stranger": type("Stranger", (), {}),
        "AttributeDict": type("AttributeDict", (dict,), {}),
    }
    places = {"Choices": "fairseq.tests", "Carrier": "fairseq.tests", "Stranger": "nobody"}
    for name, module in {**places, "AttributeDict": "lightning.fabric.utilities.data"}.items():
        for depth in range(1, len(module.split(".")) + 1):
            part = ".".join(module.split(".")[:depth])
            monkeypatch.setitem(sys.modules, part, sys.modules.get(part) or types.ModuleType(part))
        made[name].__module__, made[name].__qualname__ = module, name
        setattr(sys.modules[module], name, made[name])
    return made


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_carriers_of_data_become_plain(tmp_path: Path, classes: dict[str, Any], zipped: bool) -> None:
    carrier = classes["Carrier"]()
    carrier.symbols = ["<s>", "a"]
    content = {
        "args": argparse.Namespace(arch="wav2vec2", mode=classes["Choices"].layer_norm),
        "labels": carrier,
        "folder": PurePosixPath("a/b"),
        "w": torch.ones(2),
    }
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    read = read_pickled(tmp_path / "x.pt")
    assert torch.equal(read["w"], torch.ones(2))
    assert plain(read["args"]) == {"arch": "wav2vec2", "mode": "layer_norm"}
    assert plain(read["labels"]) == {"symbols": ["<s>", "a"]}
    assert plain(read["folder"]) == "a/b"


def test_classes_of_nobody_are_refused(tmp_path: Path, classes: dict[str, Any]) -> None:
    torch.save({"x": classes["Stranger"]()}, tmp_path / "x.pt")
    with pytest.raises(
        CheckpointError, match=r"that audiossl does not run \(nobody\.Stranger\): save its state_dict\(\)"
    ):
        read_pickled(tmp_path / "x.pt")


def test_settings_of_lightning_are_a_dict(tmp_path: Path, classes: dict[str, Any]) -> None:
    settings = classes["AttributeDict"](lr=0.1, model=classes["AttributeDict"](name="x"))
    torch.save({"state_dict": {"w": torch.ones(1)}, "hyper_parameters": settings}, tmp_path / "x.ckpt")
    assert plain(read_pickled(tmp_path / "x.ckpt")["hyper_parameters"]) == {"lr": 0.1, "model": {"name": "x"}}


@pytest.mark.parametrize("form", ["class", "function", "program", "protocol 4"])
def test_no_message_advises_to_run_a_file(tmp_path: Path, classes: dict[str, Any], form: str) -> None:
    path = tmp_path / "x.pt"
    if form == "program":
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    elif form == "protocol 4":
        path.write_bytes(pickle.dumps(Touch(tmp_path / "it-ran")))
    else:
        torch.save({"x": classes["Stranger"]() if form == "class" else Touch(tmp_path / "it-ran")}, path)
    with pytest.raises(CheckpointError, match=r"save its state_dict\(\)") as caught:
        read_pickled(path)
    assert not any(word in str(caught.value) for word in ("weights_only", "safe_globals", "torch.load"))


def test_what_is_no_checkpoint_is_one_sentence(tmp_path: Path, classes: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        read_pickled(tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds a list, not a checkpoint with named parts"):
        read_pickled(tmp_path / "list.pt")
    torch.save(classes["Carrier"](), tmp_path / "object.pt")
    with pytest.raises(CheckpointError, match=r"holds a pickled model object; save its state_dict\(\)"):
        read_pickled(tmp_path / "object.pt")
    (tmp_path / "text.pt").write_text("not a pickle")
    with pytest.raises(CheckpointError):
        read_pickled(tmp_path / "text.pt")


def test_plain_leaves_what_is_plain() -> None:
    value = {"a": [1, (2.5, None)], "b": {"c": True}}
    assert plain(value) == {"a": [1, [2.5, None]], "b": {"c": True}}


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
