"""Animal and emotion corpora that are not at hand: all stages of the scripts, from miniatures in published layouts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from toys.published import tone
from toys.recipes import RECIPES, run_script

QUICK = ("--upstream", "log_mel", "--steps", "20", "trainer.eval_every=10", "trainer.lr=0.01", "data.batch_size=8")
PITCHES_HZ = (400.0, 3000.0)


def emodb(root: Path) -> None:
    spoken(root, (f"wav/{speaker}{text}{{}}a.wav" for speaker in ("03", "08", "09", "10") for text in TAKES), "WN")


def ravdess(root: Path) -> None:
    actors = [f"{number:02}" for number in range(1, 13)]
    spoken(root, (f"Actor_{actor}/03-01-{{}}-01-02-01-{actor}.wav" for actor in actors), ("01", "05"))


def crema_d(root: Path) -> None:
    spoken(root, (f"AudioWAV/{1001 + number}_DFA_{{}}_XX.wav" for number in range(10)), ("ANG", "NEU"))


TAKES = ("a01", "a02")


def spoken(root: Path, names: Iterator[str], emotions: tuple[str, ...] | str) -> None:
    """Recordings whose names say who and which emotion, each emotion a pitch."""
    for seed, name in enumerate(names):
        for emotion, pitch_hz in zip(emotions, PITCHES_HZ, strict=True):
            tone(root / name.format(emotion), pitch_hz, seed)


def msp_podcast(root: Path) -> None:
    lines = [["FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set"]]
    for place, split in enumerate(("Train", "Development", "Test1")):
        for take in range(8):
            name = f"MSP-PODCAST_{place:04}_{take:04}.wav"
            tone(root / "Audios" / name, PITCHES_HZ[take % 2], 10 * place + take)
            numbers = [f"{2 + 3 * (take % 2)}.{take}" for _ in range(3)]
            lines.append([name, "AN"[take % 2], *numbers, f"{3 * place + take % 3}", "Female", split])
    write_table(root / "Labels" / "labels_consensus.csv", lines)


def watkins(root: Path) -> None:
    lines = [["path", "species"]]
    for species, prefix, pitch_hz in (("Walrus", "610", 400.0), ("Narwhal", "720", 3000.0)):
        for tape in range(6):
            for cut in "AB":
                tone(root / species / f"{prefix}{tape:02}{cut}.wav", pitch_hz, tape)
                lines.append([f"{species}/{prefix}{tape:02}{cut}.wav", species])
    write_table(root / "annotations.csv", lines)


def dogs(root: Path) -> None:
    for number in range(20):
        tone(root / "audio" / f"{number}.wav", PITCHES_HZ[number % 2], number)
    write_table(
        root / "annotations.csv", [["filename", "name"], *([f"{n}.wav", ("Zoe", "Mac")[n % 2]] for n in range(20))]
    )


def birdset(root: Path) -> None:
    """Focal recordings of one call each, and a soundscape of four windows."""
    rows, tests = [], []
    for number in range(12):
        chirps(root / "train" / f"XC{number}.ogg", PITCHES_HZ[number % 2], 6.0)
        row = {"filepath": f"XC{number}.ogg", "ebird_code_multilabel": [("amerob", "blujay")[number % 2]]}
        rows.append({**row, "detected_events": [[1.0, 3.0]], "event_cluster": [0]})
    for number in range(4):
        chirps(root / "test" / f"HSN_{number}.ogg", PITCHES_HZ[number % 2], 5.0)
        row = {"filepath": f"HSN_{number}.ogg", "ebird_code_multilabel": [("amerob", "blujay")[number % 2]]}
        tests.append({**row, "start_time": 0, "end_time": 5})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), root / "HSN_metadata_train.parquet")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(tests), root / "HSN_metadata_test_5s.parquet")


def chirps(path: Path, pitch_hz: float, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    times_s = np.arange(round(32000 * seconds)) / 32000
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch_hz * times_s), 32000)


def write_table(path: Path, lines: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "figures"),
    [
        (emodb, {"emotion": "ua"}),
        (ravdess, {"emotion": "ua"}),
        (crema_d, {"emotion": "ua"}),
        (msp_podcast, {"emotion": "ua", "attributes": "ccc"}),
        (watkins, {"species": "uar"}),
        (dogs, {"dog": "uar"}),
        (birdset, {"birds": "map"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_from_the_folders_to_the_table(write: Callable[[Path], None], figures: dict[str, str], tmp_path: Path) -> None:
    recipe = write.__name__
    write(tmp_path / "corpus")
    done = run_script(RECIPES / recipe / "run.sh", "--data", str(tmp_path / "corpus"), *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for task, figure in figures.items():
        assert figure in done.stdout
        facts = json.loads((tmp_path / f"runs/{recipe}/{task}/log_mel-seed0/test/metrics.json").read_text())
        value = facts["metrics"][figure]["value"]
        assert np.isfinite(value) and facts["num_items"] > 0
    assert (tmp_path / f"runs/{recipe}/report/index.html").is_file()
