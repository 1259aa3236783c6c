"""Tensors on disk with a description, strict loading, fingerprints."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import nn
from toys.tera import tiny

from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint, load_strict, read_tensors, write_tensors


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


def test_the_fingerprint_is_that_of_weights_and_configuration() -> None:
    one, same, other = tiny(), tiny(), tiny(num_heads=4)
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)  # the same tensors in another model
    with torch.no_grad():
        next(same.parameters()).view(-1)[0].add_(1e-6)
    assert fingerprint(one) != fingerprint(same)
    assert len(fingerprint(nn.BatchNorm1d(2))) == 64  # has a tensor without dimensions


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
