"""Archives of hidden states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audiossl.core.errors import ManifestError, OutputError
from audiossl.encoders.npz import NpzWriter


def states(num_frames: int, widths: tuple[int, ...] = (4, 4)) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(num_frames)
    return [torch.randn(num_frames, width, generator=made) for width in widths]


def test_names_and_shapes(tmp_path: Path) -> None:
    with NpzWriter(tmp_path / "all.npz", [0, 3]) as writer:
        writer.write("a/1", states(5))
        writer.write("file", states(2))  # a name that numpy.savez has for itself
    found = np.load(tmp_path / "all.npz")
    assert {name: found[name].shape for name in found} == {"a/1": (2, 5, 4), "file": (2, 2, 4)}
    np.testing.assert_array_equal(found["a/1"], torch.stack(states(5)).numpy())
    with NpzWriter(tmp_path / "one.npz", [3], pool="mean") as writer:
        writer.write("x", states(5, (4,)))
    np.testing.assert_allclose(np.load(tmp_path / "one.npz")["x"], states(5, (4,))[0].mean(0).numpy())


def test_layers_of_different_widths_are_named_by_their_numbers(tmp_path: Path) -> None:
    with NpzWriter(tmp_path / "x.npz", [2, 7]) as writer:
        writer.write("a", states(3, (4, 6)))
        parts = writer.in_parts("b", 3)
        for first, stop in ((0, 2), (2, 3)):
            parts.add(first, [layer[first:stop] for layer in states(3, (4, 6))])
    found = np.load(tmp_path / "x.npz")
    assert sorted(found) == ["a/layer_2", "a/layer_7", "b/layer_2", "b/layer_7"]
    np.testing.assert_array_equal(found["a/layer_7"], found["b/layer_7"])


def test_no_recording_replaces_another(tmp_path: Path) -> None:
    for out, name in ((tmp_path / "all.npz", "a"), (tmp_path / "folder", "../a"), (tmp_path / "folder", "a")):
        with NpzWriter(out, [0]) as writer:
            writer.write("a", states(2, (4,)))
            with pytest.raises(ManifestError, match="'a'"):
                writer.write(name, states(3, (4,)))
    with NpzWriter(tmp_path / "both.npz", [0]) as writer:
        for name in ("a", "../a", "/a"):
            writer.write(name, states(2, (4,)))
    assert sorted(np.load(tmp_path / "both.npz")) == ["../a", "/a", "a"]


@pytest.mark.parametrize("out", ["all.npz", "folder"])
def test_a_disk_that_is_full_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audiossl.encoders.npz._ArrayFile.put", full)
    with (
        pytest.raises(OutputError, match=f"{out} could not be written: the disk is full"),
        NpzWriter(tmp_path / out, [0]) as writer,
    ):
        writer.in_parts("a", 4).add(0, states(2, (4,)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("pool", ["none", "mean"])
def test_parts_give_what_the_whole_gives(tmp_path: Path, pool: str) -> None:
    for out in (tmp_path / "parts.npz", tmp_path / "folder"):
        with NpzWriter(out, [0, 1], pool=pool) as writer:
            for name, size in (("a", 7), ("b/c", 4)):
                parts = writer.in_parts(name, size)
                for first in range(0, size, 3):
                    parts.add(first, [layer[first : first + 3] for layer in states(size)])
            writer.write("whole", states(7))
    found = np.load(tmp_path / "parts.npz")
    np.testing.assert_allclose(found["a"], found["whole"], atol=1e-6)
    assert sorted(
        path.relative_to(tmp_path / "folder").as_posix() for path in (tmp_path / "folder").rglob("*.npz")
    ) == [
        "a.npz",
        "b/c.npz",
        "whole.npz",
    ]
    np.testing.assert_array_equal(np.load(tmp_path / "folder" / "b" / "c.npz")["b/c"], found["b/c"])
    assert not list(tmp_path.rglob(".*"))  # nothing temporary is left


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    out.write_bytes(b"before")

    def fail() -> None:
        with NpzWriter(out, [0]) as writer:
            writer.write("a", states(3, (4,)))
            writer.in_parts("b", 9).add(0, states(3, (4,)))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert out.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_half_precision_is_written_as_float32(tmp_path: Path) -> None:
    with NpzWriter(tmp_path / "x.npz", [0]) as writer:
        writer.write("a", [state.bfloat16() for state in states(3, (4,))])
    assert np.load(tmp_path / "x.npz")["a"].dtype == np.float32


def test_a_name_does_not_leave_the_folder(tmp_path: Path) -> None:
    with NpzWriter(tmp_path / "out", [0]) as writer:
        writer.write("../../a", states(3, (4,)))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
