"""Torch files of others: data and carriers of data are read, code is never run."""

from __future__ import annotations

import argparse
import pickle
import sys
import types
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import torch

from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.pickled import plain, read_pickled


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two classes under published names and one under a name of nobody, importable while a file is written."""
    made: dict[str, Any] = {
        "Choices": Enum("Choices", {"layer_norm": "layer_norm"}, type=str),
        "Carrier": type("Carrier", (), {}),
        "Stranger": type("Stranger", (), {}),
    }
    for name, module in (("Choices", "fairseq.tests"), ("Carrier", "fairseq.tests"), ("Stranger", "nobody")):
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
    with pytest.raises(CheckpointError, match=r"pickled code that audiossl does not run .*nobody\.Stranger"):
        read_pickled(tmp_path / "x.pt")


def test_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "x.pt").write_bytes(pickle.dumps({"x": Trap()}, protocol=2))
    with pytest.raises(CheckpointError):
        read_pickled(tmp_path / "x.pt")
    assert not (tmp_path / "sprung").exists()


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
