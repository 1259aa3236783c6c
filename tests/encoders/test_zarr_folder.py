"""Hidden states as a folder of Zarr."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiossl import load_upstream
from audiossl.core.errors import ConfigError, ManifestError, OutputError
from audiossl.core.tensors import fingerprint
from audiossl.encoders import zarr_folder
from audiossl.encoders.config import EmbedOptions
from audiossl.encoders.embedding import embed_inputs
from audiossl.encoders.spans import Place, Spans
from audiossl.encoders.zarr_folder import EncoderAttributes, ZarrWriter, load_zarr

FACTS = EncoderAttributes("log_mel", "f0", 100.0)


@pytest.fixture(scope="module")
def zarr() -> Any:
    return pytest.importorskip("zarr")


@pytest.mark.parametrize(
    "options",
    [
        {"layer": "0,2"},
        {"layer": "0,2", "chunk_s": 0.5, "overlap_s": 0.3},
        {"layer": "2", "window_s": 0.5, "hop_s": 0.25},
        {"layer": "0,2", "pool": "mean"},
    ],
)
def test_it_has_what_archives_have(
    zarr: Any, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(zarr_folder, "_CHUNK_BYTES", 4 * 192 * 7)  # seven rows
    for name in ("x.npz", "x.zarr"):
        embed_inputs("tera_mini", [str(sounds)], tmp_path / name, EmbedOptions(**options))
    root, expected = zarr.open(str(tmp_path / "x.zarr"), mode="r"), np.load(tmp_path / "x.npz")
    assert sorted(root["states"]) == ["Käuzchen, fern", "night"]
    for name, array in root["states"].arrays():
        np.testing.assert_allclose(array[...], expected[name], atol=1e-6)
        if "times" in root:
            times = root["times"][name][...]
            assert len(times) == array.shape[-2]
            if "window_s" in options:
                np.testing.assert_array_equal(times, expected[f"{name}/times"])
    attributes = dict(root["states"]["night"].attrs)
    rate = {"rate": 4.0 if "window_s" in options else 100.0} if "pool" not in options else {}
    assert attributes.items() >= {"id": "night", "start": 0.0, "end": 2.35, **rate}.items()
    assert attributes["file"] == str(sounds / "night.wav")
    assert attributes["fingerprint"] == fingerprint(load_upstream("tera_mini"))
    assert attributes["layers"] == ([2] if options["layer"] == "2" else [0, 2])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npz", "x.zarr"]


def writer(out: Path, *names: str) -> ZarrWriter:
    places = {name: Place("", 3.0, 1.0) for name in names}
    return ZarrWriter(out, [0, 5], Spans(load_upstream("log_mel")), places, FACTS)


def test_names_and_widths(zarr: Any, tmp_path: Path) -> None:
    with writer(tmp_path / "x.zarr", "a", "a/b", "50%") as made:
        for name in ("a", "a/b", "50%"):
            made.write(name, [torch.ones(3, 4), torch.ones(3, 6)])
        with pytest.raises(ManifestError, match="Two recordings have the id 'a'"):
            made.write("a", [torch.ones(3, 4), torch.ones(3, 6)])
    root = zarr.open(str(tmp_path / "x.zarr"), mode="r")
    assert sorted(root["states"]) == ["50%25", "a", "a%2Fb"]
    assert root["states/a/layer_0"].shape == (3, 4) and root["states/a%2Fb/layer_5"].shape == (3, 6)
    assert root["states/a%2Fb/layer_5"].attrs["id"] == "a/b"
    assert root["times/a"][0, 0] >= 3.0
    for name in ("..", "zarr.json"):
        with pytest.raises(ManifestError, match="id"):
            writer(tmp_path / "y.zarr", name)


def test_a_failure_leaves_what_was_there(zarr: Any, sounds: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"

    def fail() -> None:
        with writer(out, "b") as made:
            made.in_parts("b", 9).add(0, [torch.ones(3, 4)] * 2)
            raise RuntimeError("stop")

    with writer(out, "a") as made:
        made.write("a", [torch.ones(3, 4)] * 2)
    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(zarr.open(str(out), mode="r")["states"]) == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
    embed_inputs("log_mel", [str(sounds)], out, EmbedOptions(layer="0"))
    assert len(list(zarr.open(str(out), mode="r")["states"])) == 2
    other = tmp_path / "own.zarr"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is no result of this command"):
        embed_inputs("log_mel", [str(sounds)], other, EmbedOptions())
    assert (other / "notes.txt").read_text() == "mine"


def test_without_the_package_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "zarr":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[zarr\]"):
        load_zarr()
