"""The recipes of finches and infant marmosets: what they split, and all stages on miniature corpora of tones."""

from __future__ import annotations

import csv
import gzip
import json
import os
import runpy
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toys.warm import python

from audiossl.core.errors import ManifestError

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
SPLITS = ("train", "dev", "test")


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    with gzip.open(manifest, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sources_of(folder: Path) -> list[set[str]]:
    return [{row["recording"]["id"] for row in rows_of(folder / f"{split}.jsonl.gz")} for split in SPLITS]


def run_script(recipe: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": python(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [str(RECIPES / recipe / "run.sh"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def finches(tmp_path: Path) -> Path:
    """Two singers with ten recordings of two songs each, and four callers, in the layout that the recipe reads."""
    folder, rng = tmp_path / "finches", np.random.default_rng(0)
    (folder / "audio").mkdir(parents=True)
    clips = [["path", "speaker", "species", "recording"]]
    syllables = [["path", "onset", "offset", "label"]]
    for bird in ("bf_gy6or6", "bf_bl26lb16"):
        for number in range(20):
            path = f"audio/{bird}_{number:03d}.flac"
            soundfile.write(folder / path, 0.1 * rng.standard_normal(16000), 32000)
            clips.append([path, bird, "Lonchura striata domestica", f"{bird}-{number // 2}.wav"])
            for place, label in enumerate(("a", "b", "rare" if number == 0 else "a")):
                syllables.append([path, f"{0.05 + 0.15 * place:.3f}", f"{0.15 + 0.15 * place:.3f}", label])
    for bird in ("zf_a", "zf_b", "zf_c", "zf_d"):
        for number in range(6):
            path = f"audio/{bird}_{number}.flac"
            soundfile.write(folder / path, 0.1 * rng.standard_normal(6400), 32000)
            clips.append([path, bird, "Taeniopygia guttata", "110411"])
    for name, lines in (("manifest.csv", clips), ("syllables.csv", syllables)):
        with open(folder / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    return folder


def test_finches_share_no_recording(finches: Path, tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "finches" / "prepare.py"))
    out = tmp_path / "out"
    module["prepare"](finches, out)
    lines = list(csv.DictReader((finches / "manifest.csv").read_text().splitlines()))
    recording = {line["path"].removesuffix(".flac"): line["recording"] for line in lines}
    for task in ("syllables", "birds", "windows"):
        tapes = [{recording[clip] for clip in clips} for clips in sources_of(out / task)]
        assert all(tapes)
        assert not tapes[0] & tapes[1] | tapes[0] & tapes[2] | tapes[1] & tapes[2]
    rows = [row for split in SPLITS for row in rows_of(out / "syllables" / f"{split}.jsonl.gz")]
    assert Counter(row["supervisions"][0]["custom"]["label"] for row in rows) == {"a": 39, "b": 20}
    few = rows_of(out / "syllables" / "train_few.jsonl.gz")
    assert Counter(row["supervisions"][0]["custom"]["label"] for row in few) == {"a": 5, "b": 5}
    assert {row["id"] for row in few} <= {row["id"] for row in rows_of(out / "syllables" / "train.jsonl.gz")}
    windows = rows_of(out / "windows" / "train.jsonl.gz")
    assert all("label" in row["supervisions"][0]["custom"] for row in windows)
    assert len(rows_of(out / "callers" / "all.jsonl.gz")) == 24


def test_events_of_finches_are_whole_bouts_with_all_their_syllables(finches: Path, tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "finches" / "prepare.py"))
    module["prepare"](finches, tmp_path / "out")
    for task, num_bouts, labels in (("events", 20, {"a", "b"}), ("segments", 40, {"syllable"})):
        rows = [row for split in SPLITS for row in rows_of(tmp_path / "out" / task / f"{split}.jsonl.gz")]
        calls = [call for row in rows for call in row["supervisions"][0]["custom"]["calls"]]
        assert len(rows) == num_bouts
        assert {label for *_, label in calls} == labels
        assert all(0 <= start < end <= 0.5 for start, end, _ in calls)


def test_finches_without_their_table(tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "finches" / "prepare.py"))
    with pytest.raises(ManifestError, match=r"There is no .*manifest\.csv"):
        module["prepare"](tmp_path, tmp_path / "out")
    (tmp_path / "manifest.csv").write_text("path,speaker\na.wav,x\n")
    with pytest.raises(ManifestError, match="no column 'species'"):
        module["prepare"](tmp_path, tmp_path / "out")


@pytest.fixture
def marmosets(tmp_path: Path) -> Path:
    """Two pairs of twins in the published layout and naming: recordings of 12 s at 44.1 kHz with calls that are tones,
    a pitch for each type (9 and 14 kHz among them) and a loudness for each caller."""
    folder, rng = tmp_path / "InfantMarmosetsVox", np.random.default_rng(0)
    lines = [["filename", "start", "end", "calltype", "caller"]]
    types = {"1": 6000, "2": 9000, "10": 14000}
    for twin in (1, 2):
        for animal in (1, 2):
            for day in range(4):
                name = f"2016090{day}_Twin{twin}_marmoset{animal}"
                samples = 0.005 * rng.standard_normal(12 * 44100)
                caller = 2 * (twin - 1) + animal - 1
                for number in range(9):
                    kind = list(types)[number % 3]
                    start = 0.5 + 1.2 * number
                    place = slice(round(start * 44100), round((start + 0.3) * 44100))
                    times = np.arange(place.stop - place.start) / 44100
                    samples[place] += 0.05 * (caller + 1) * np.sin(2 * np.pi * types[kind] * times)
                    lines.append([name, f"{start:.3f}", f"{start + 0.3:.3f}", kind, str(caller)])
                lines.append([name, "0.0", "0.4", "11", str(caller)])
                path = folder / "data" / f"twin_{twin}" / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, samples, 44100, subtype="PCM_16")
    lines.append(lines[1])  # a line that is there twice
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    return folder


def test_marmosets_are_split_by_recording_or_as_published(
    marmosets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = runpy.run_path(str(RECIPES / "infant_marmosets" / "prepare.py"))["prepare"]
    prepare(marmosets, tmp_path / "sound", "recording")
    assert "left out: 16 silence or noise, 1 repeated lines, 0 calls" in capsys.readouterr().out
    train, dev, test = sources_of(tmp_path / "sound")
    assert not train & dev | train & test | dev & test
    rows = [row for split in SPLITS for row in rows_of(tmp_path / "sound" / f"{split}.jsonl.gz")]
    labels = Counter(row["supervisions"][0]["custom"]["label"] for row in rows)
    assert labels == {"phee": 48, "twitter": 48, "peep": 48}
    assert {row["supervisions"][0]["speaker"] for row in rows} == {f"caller_{number}" for number in range(4)}
    prepare(marmosets, tmp_path / "published", "published")
    train, dev, test = sources_of(tmp_path / "published")
    assert train & test
    assert train & dev


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("20990101_Twin1_marmoset1,0,1,1,0", r"line 163: there is no 20990101_Twin1_marmoset1\.wav"),
        ("20160900_Twin1_marmoset1,0,1,13,0", r"line 163: '13' is no call type"),
        ("20160900_Twin1_marmoset1,0,1,1,", r"line 163 has no caller"),
        ("20160900_Twin1_marmoset1,11.5,12.5,1,0", r"line 163: 11\.5 s to 12\.5 s is outside .*marmoset1\.wav"),
    ],
)
def test_marmoset_labels_that_cannot_be_used(marmosets: Path, tmp_path: Path, line: str, message: str) -> None:
    prepare = runpy.run_path(str(RECIPES / "infant_marmosets" / "prepare.py"))["prepare"]
    with open(marmosets / "labels.csv", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ManifestError, match=message):
        prepare(marmosets, tmp_path / "out", "recording")
    (marmosets / "labels.csv").unlink()
    with pytest.raises(ManifestError, match=r"There is no labels\.csv below"):
        prepare(marmosets, tmp_path / "out", "recording")


@pytest.mark.slow
def test_marmosets_from_raw_folders_to_the_result_table(marmosets: Path, tmp_path: Path) -> None:
    """All stages. Types above 8 kHz are told apart with time_expand; resampled to 16 kHz they are silence alike."""
    flags = [
        "--data",
        str(marmosets),
        "--task",
        "calltype",
        "--steps",
        "60",
        "trainer.eval_every=20",
        "trainer.lr=0.01",
    ]
    upstreams = ["--upstream", "log_mel@time_expand", "--upstream", "log_mel@resample"]
    done = run_script("infant_marmosets", *flags, *upstreams, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {}
    for mode in ("time_expand", "resample"):
        path = tmp_path / "runs/infant_marmosets/calltype" / f"log_mel@{mode}-seed0/test/metrics.json"
        found[mode] = json.loads(path.read_text())["metrics"]["uar"]["value"]
    assert found["time_expand"] > 0.95
    assert found["resample"] < 0.85
    assert "uar (%)" in done.stdout
    assert (tmp_path / "runs/infant_marmosets/report/index.html").is_file()
