"""`audiossl detect`: tables of one and of several recordings, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from toys.events import rows_of, write_field

from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.manifests import write_manifests
from audiossl.downstreams.bioacoustic_events.cli import printable_lines
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Annotation]]:
    """A run, a folder of two recordings at 32 kHz, and what is in them."""
    folder = tmp_path_factory.mktemp("detect")
    splits, seed = {}, 0
    for split, count in {"train": 10, "dev": 3, "test": 2}.items():
        calls = write_field(folder / split, count, seed, rate_hz=32000)
        splits[split], seed = rows_of(calls, folder / split), seed + count
    write_manifests(splits, folder / "manifests")
    settings = ["downstream=bioacoustic_events", "setting=default", "upstream=log_mel", "task.hidden=16"]
    settings += ["trainer.steps=60", "trainer.lr=0.02", "trainer.warmup_steps=5", "trainer.eval_every=60"]
    settings += [f"data.dir={folder / 'manifests'}", "features=off", "data.batch_size=5"]
    return train(read_experiment(None, settings), folder / "run"), folder / "test", calls


def test_tables(trained: tuple[Path, Path, list[Annotation]], tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    run, folder, calls = trained
    wav = folder / "day13.wav"
    expected = sorted((call for call in calls if call.path == str(wav)), key=lambda call: call.start_s)
    for kind in ("raven", "audacity", "csv", "jsonl"):
        printed = audiossl("detect", run, wav, "--format", kind)
        assert printed.code == 0, printed.err
        out = tmp_path / f"{kind}.txt"
        assert audiossl("detect", run, wav, "--format", kind, "--out", out).code == 0
        assert printed.out == out.read_text()
        if kind == "jsonl":
            found = [json.loads(line) for line in out.read_text().splitlines()]
            rows = [(row["start_s"], row["end_s"], row["label"]) for row in found]
            assert {row["path"] for row in found} == {str(wav)}
        else:
            rows = [(row.start_s, row.end_s, row.label) for row in read_annotations(out, kind)]  # type: ignore[arg-type]
        assert [row[2] for row in rows] == [call.label for call in expected]
        for row, call in zip(rows, expected, strict=True):
            assert row[:2] == pytest.approx((call.start_s, call.end_s), abs=0.1)
    done = audiossl("detect", run, folder, "--out", tmp_path / "all", "--format", "csv", "--json")
    sizes = {path.stem: len(read_annotations(path)) for path in sorted((tmp_path / "all").iterdir())}
    assert json.loads(done.out) == [{"recording": name, "events": count} for name, count in sizes.items()]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["day13.csv", "day14.csv"]
    both = audiossl("detect", run, folder, "--format", "csv").out.splitlines()
    listed = [str(folder / f"{name}.wav") for name, count in sizes.items() for _ in range(count)]
    assert [line.split(",")[0] for line in both] == ["path", *listed]
    assert audiossl("detect", run, wav, "--threshold", "0.99999").out.count("\n") == 1
    assert audiossl("detect", run, wav, "--shortest-s", "3", "--format", "jsonl").out == ""


def test_what_is_refused(
    trained: tuple[Path, Path, list[Annotation]], tmp_path: Path, audiossl: Callable[..., Any]
) -> None:
    run, folder, _ = trained
    wav = folder / "day13.wav"
    said = {
        ("--format", "rave"): "Did you mean raven",
        ("--threshold", "1.5"): "--threshold 1.5 must lie between 0 and 1",
        ("--shortest-s", "-1"): "--shortest-s -1 must be a number of seconds from 0",
        ("--out", str(wav)): "is an input of this command",
    }
    for options, sentence in said.items():
        done = audiossl("detect", run, wav, *options)
        assert done.code == 2
        assert sentence in done.err.replace("\n", " ")
    done = audiossl("detect", run, folder)
    assert "A table of raven is of one recording and there are 2" in done.err.replace("\n", " ")
    # A recording that ends half-way leaves no table.
    half = tmp_path / "half.flac"
    soundfile.write(half, soundfile.read(wav)[0], 32000)
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    done = audiossl("detect", run, half, "--out", tmp_path / "half.txt")
    assert done.code == 2
    assert "half.flac" in done.err
    assert not (tmp_path / "half.txt").exists()


def test_what_is_printed_has_no_codes() -> None:
    assert printable_lines("a\tb\x1b[1m\nc\n", header=True) == "a\tb\\x1b[1m\nc\n"
    assert printable_lines("a\nc\n", header=False) == "c\n"
