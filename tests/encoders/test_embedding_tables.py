"""Hidden states as tables."""

from __future__ import annotations

import builtins
import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from audiossl import load_upstream
from audiossl.cli.main import app
from audiossl.core.errors import AudiosslError, ConfigError, ManifestError
from audiossl.encoders.config import EmbedOptions
from audiossl.encoders.embedding import embed_inputs
from audiossl.encoders.embedding_tables import TableWriter
from audiossl.encoders.spans import Place, Spans


def read(path: Path) -> tuple[list[dict[str, str]], npt.NDArray[np.float32]]:
    """What a row is of, and its numbers."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    channels = [name for name in rows[0] if name.isdigit()]
    values = [[row.pop(name) for name in channels] for row in rows]
    return rows, np.array(values, dtype=np.float32)


@pytest.mark.parametrize("chunk_s", [0.0, 0.5])
def test_windows_are_means_of_frames_also_chunk_by_chunk(sounds: Path, tmp_path: Path, chunk_s: float) -> None:
    options = EmbedOptions(layer="last", window_s=1.0, hop_s=0.5, chunk_s=chunk_s, overlap_s=0.3)
    embed_inputs("log_mel", [str(sounds)], tmp_path / "x.csv", options)
    rows, values = read(tmp_path / "x.csv")
    night = [number for number, row in enumerate(rows) if row["id"] == "night"]
    assert [(float(rows[n]["start_time"]), float(rows[n]["end_time"])) for n in night] == [
        (0.0, 1.0),
        (0.5, 1.5),
        (1.0, 2.0),
        (1.5, 2.35),
    ]
    assert {row["file"] for row in rows} == {str(path) for path in sounds.iterdir()}
    sound, _ = soundfile.read(sounds / "night.wav", dtype="float32")
    encoder = load_upstream("log_mel")
    (frames,) = encoder(torch.from_numpy(sound)[None]).item(0)
    for number, span in zip(night, Spans(encoder, 1.0, 0.5).of(len(frames), 2.35), strict=True):
        np.testing.assert_allclose(values[number], frames[span.first : span.stop].mean(0).numpy(), rtol=1e-5, atol=1e-6)


def test_frames_are_exact_and_layers_have_a_column(sounds: Path, tmp_path: Path) -> None:
    for name in ("x.csv", "x.npz"):
        embed_inputs("tera_mini", [str(sounds)], tmp_path / name, EmbedOptions(layer="0,2"))
    rows, values = read(tmp_path / "x.csv")
    states = np.load(tmp_path / "x.npz")
    for name in states:
        for index, layer in enumerate("02"):
            chosen = [number for number, row in enumerate(rows) if (row["id"], row["layer"]) == (name, layer)]
            np.testing.assert_array_equal(values[chosen], states[name][index])
    embed_inputs("tera_mini", [str(sounds)], tmp_path / "mean.csv", EmbedOptions(layer="2", pool="mean"))
    rows, values = read(tmp_path / "mean.csv")
    assert [(row["start_time"], float(row["end_time"])) for row in rows] == [("0.0", 0.8), ("0.0", 2.35)]
    np.testing.assert_allclose(values[1], states["night"][1].mean(0), atol=1e-5)


def test_parquet_is_the_same_table(sounds: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    given = ["embed", "log_mel", str(sounds), "--window-s", "0.5", "--out"]
    for name in ("x.csv", "x.parquet"):
        done = CliRunner().invoke(app, [*given, str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    rows, values = read(tmp_path / "x.csv")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column("id").to_pylist() == [row["id"] for row in rows]
    assert table.column("end_time").to_pylist() == [float(row["end_time"]) for row in rows]
    found = np.stack([table.column(str(number)).to_numpy() for number in range(values.shape[1])], axis=1)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.float32


def test_a_hop_needs_windows(tmp_path: Path, sounds: Path) -> None:
    with pytest.raises(ConfigError, match="--hop-s 1 needs windows"):
        embed_inputs("log_mel", [str(sounds)], tmp_path / "x.csv", EmbedOptions(hop_s=1.0))
    assert not (tmp_path / "x.csv").exists()


def test_archives_have_the_same_windows(tmp_path: Path, sounds: Path) -> None:
    options = EmbedOptions(layer="0,2", window_s=0.5, hop_s=0.25)
    for name in ("x.csv", "x.npz", "folder"):
        embed_inputs("tera_mini", [str(sounds)], tmp_path / name, options)
    rows, values = read(tmp_path / "x.csv")
    together = np.load(tmp_path / "x.npz")
    assert sorted(together) == sorted(name + end for name in ("night", "Käuzchen, fern") for end in ("", "/times"))
    for name in ("night", "Käuzchen, fern"):
        own = np.load(tmp_path / "folder" / f"{name}.npz")
        for index, layer in enumerate("02"):
            chosen = [number for number, row in enumerate(rows) if (row["id"], row["layer"]) == (name, layer)]
            np.testing.assert_array_equal(values[chosen], together[name][index])
            times = [[float(rows[number][edge]) for edge in ("start_time", "end_time")] for number in chosen]
            np.testing.assert_array_equal(times, together[f"{name}/times"])
        np.testing.assert_array_equal(own[name], together[name])


def test_recordings_that_come_early_wait_for_their_turn(tmp_path: Path) -> None:
    places = {name: Place(f"{name}.wav", 0.0, 1.0) for name in "abcd"}
    with TableWriter(tmp_path / "x.csv", [0], Spans(load_upstream("log_mel"), 0.5), places) as writer:
        first = writer.in_parts("a", 100)
        for name in "dc":
            writer.write(name, [torch.full((100, 1), float(ord(name)))])
        first.add(0, [torch.full((60, 1), float(ord("a")))])
        first.add(60, [torch.full((40, 1), float(ord("a")))])
        writer.write("b", [torch.full((100, 1), float(ord("b")))])
    rows, values = read(tmp_path / "x.csv")
    assert [row["id"] for row in rows] == list("aabbccdd")
    assert values[:, 0].tolist() == [float(ord(row["id"])) for row in rows]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"a": Place("", 0.0, 1.0), "b": Place("", 0.0, 1.0)}
    spans, out = Spans(load_upstream("log_mel"), whole=True), tmp_path / "x.csv"

    def write(widths: tuple[int, ...]) -> None:
        with TableWriter(out, range(len(widths)), spans, places) as writer:
            for _ in range(2):
                writer.write("a", [torch.zeros(3, width) for width in widths])

    with pytest.raises(ManifestError, match="Two recordings have the id 'a'"):
        write((4,))
    with pytest.raises(ConfigError, match="different widths"):
        write((4, 5))
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(AudiosslError, match=r"pip install audiossl-toolkit\[parquet\]"):
        TableWriter(tmp_path / "x.parquet", [0], spans, places)
    assert list(tmp_path.iterdir()) == []
