"""Tensors on disk with a description, strict loading, fingerprints."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from toys.tera import tiny

from audiossl.core.errors import CheckpointError, OutputError
from audiossl.core.tensors import fingerprint, load_strict, read_tensors, whole, write_tensors


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


def test_a_tensor_that_nobody_shares_is_whole() -> None:
    tensor = torch.zeros(2)
    assert whole(tensor) is tensor


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error")])
@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, r"x\.safetensors could not be written: the disk is full\. Free some"),
        (errno.EDQUOT, r"x\.safetensors could not be written: the disk is full\. Free some"),
        (errno.EFBIG, r"x\.safetensors could not be written: its disk takes no larger files\. Free some"),
        (errno.EROFS, r"x\.safetensors cannot be written \(Read-only file system\); choose another place\."),
    ],
)
def test_a_disk_that_takes_no_more_is_one_sentence_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, number: int, message: str
) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, {})

    def raise_it(*_: Any, **__: Any) -> None:
        raise failure

    def refuse(*_: Any) -> None:  # as the disk refuses room for what safetensors could not write
        raise OSError(number, os.strerror(number))

    if isinstance(failure, OSError):
        failure.errno, failure.strerror = number, os.strerror(number)
    monkeypatch.setattr("audiossl.core.tensors.save_file", raise_it)
    monkeypatch.setattr("os.posix_fallocate", refuse)
    with pytest.raises(OutputError, match=message):
        write_tensors(path, {"a": torch.zeros(3)}, {})
    assert torch.equal(read_tensors(path)[0]["a"], torch.ones(3))
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.safetensors"]


def test_what_safetensors_cannot_write_for_another_reason_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise SafetensorError("header too large")

    monkeypatch.setattr("audiossl.core.tensors.save_file", fail)
    with pytest.raises(OutputError, match=r"x\.safetensors cannot be written \(header too large\)"):
        write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


TENSORS = {
    "a": torch.randn(3, 5),
    "b": torch.randn(4).bfloat16(),
    "c": torch.tensor(7),
    "d": torch.zeros(0, 2),
    "e": torch.tensor([True, False]),
}


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, {"step": 3, "best": [[0.5, 2]]})
    whole = path.read_bytes()
    read, described = read_tensors(path)
    assert described == {"step": 3, "best": [[0.5, 2]]}
    assert all(torch.equal(read[name], value) for name, value in TENSORS.items())
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read, described = read_tensors(path)
        except CheckpointError:
            continue
        # What is left is a flip in the name of the checksum, which is then another's, or in a blank behind the header.
        assert all(torch.equal(read[name], value) for name, value in TENSORS.items())
        assert described == {"step": 3, "best": [[0.5, 2]]}


def test_damage_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.ones(3)}, {})
    path.write_bytes(path.read_bytes()[:-1] + b"\x3e")
    with pytest.raises(CheckpointError, match=r"safetensors is damaged: its content has another checksum .* copy it"):
        read_tensors(path)


def test_what_has_no_checksum_still_loads(tmp_path: Path) -> None:
    """Of an earlier version, and of others."""
    save_file({"a": torch.ones(3)}, tmp_path / "x.safetensors", metadata={"audiossl": '{"step": 3}'})
    assert read_tensors(tmp_path / "x.safetensors")[1] == {"step": 3}
    save_file({"a": torch.ones(3)}, tmp_path / "y.safetensors", metadata={"format": "pt"})
    assert read_tensors(tmp_path / "y.safetensors")[1] == {}


@pytest.mark.parametrize("said", ["null", "[]", "7", '"x"', "{", "[" * 100_000])
def test_a_description_that_is_none_is_one_sentence(tmp_path: Path, said: str) -> None:
    save_file({"a": torch.ones(3)}, tmp_path / "x.safetensors", metadata={"audiossl": said})
    with pytest.raises(CheckpointError, match=r"x\.safetensors") as caught:
        read_tensors(tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [10**12, 2**62])
def test_a_header_that_announces_terabytes_is_one_sentence(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.safetensors"
    header = json.dumps({"a": {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        read_tensors(path)
    path.write_bytes(size.to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        read_tensors(path)
