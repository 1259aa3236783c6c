"""BEANS, Watkins, dogs and BirdSet as miniatures in their published layouts."""

from __future__ import annotations

import csv
import json
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
import yaml
from toys.published import tone
from toys.recipes import RECIPES, noise, prepare, rows_of

from audiossl import load_run
from audiossl.core.errors import ConfigError, ManifestError
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train


def write_csv(path: Path, rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def label_of(row: dict[str, Any]) -> str:
    return str(row["supervisions"][0]["custom"]["label"])


@pytest.fixture
def beans(tmp_path: Path) -> Path:
    """A set of classification (cbi), and one of detection (dcase), as BEANS' scripts leave them."""
    root = tmp_path / "beans"
    for split, count in {"train": 8, "valid": 4, "test": 4}.items():
        lines = [["", "path", "label"]]
        for number in range(count):
            path = f"data/cbi/wav/{split}{number}.wav"
            tone(root / path, (400, 2500)[number % 2], number)
            lines.append([str(number), path, ("amerob", "blujay")[number % 2]])
        write_csv(root / "data" / "cbi" / f"annotations.{split}.csv", lines)
        noise(root / "data" / "dcase" / "wav" / f"{split}.wav", 1, seconds=5.0)
        calls = [
            {"st": 0.5, "ed": 1.0, "label": "AMRE"},
            {"st": 2.5, "ed": 4.5, "label": "CALL"},
            {"st": 3.0, "ed": 3.0, "label": "AMRE"},
        ]
        row = {"path": f"data/dcase/wav/{split}.wav", "length": 5.0, "annotations": calls}
        (root / "data" / "dcase" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    return root


def test_beans_classification_and_windows(beans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("beans", monkeypatch, beans, tmp_path / "out", "cbi", "dcase")
    counts = [len(rows_of(tmp_path / "out" / "cbi" / f"{split}.jsonl.gz")) for split in ("train", "dev", "test")]
    assert counts == [8, 4, 4]
    assert Counter(map(label_of, rows_of(tmp_path / "out" / "cbi" / "test.jsonl.gz"))) == {"amerob": 2, "blujay": 2}
    windows = rows_of(tmp_path / "out" / "dcase" / "train.jsonl.gz")
    # 0 to 2, 1 to 3, 2 to 4, 3 to 5 s. Of CALL, 0.5 s of 2 s lies in the second.
    assert [label_of(row) for row in windows] == ["AMRE", "CALL", "CALL", "CALL"]


def test_beans_has_a_yaml_for_each_of_its_twelve(beans: Path, tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "beans" / "prepare.py"))
    assert len(module["DATA_SETS"]) == 12
    for name, each in module["DATA_SETS"].items():
        config = yaml.safe_load((RECIPES / "beans" / f"{name.replace('-', '_')}.yaml").read_text())
        assert config["data"]["dir"] == f"data/beans/{name}"
        assert config["downstream"] == ("bioacoustics" if each.windows is None else "bioacoustic_windows")
    with pytest.raises(ConfigError, match="'catz' is no data set of BEANS"):
        module["prepare"](beans, tmp_path / "out", "catz")
    with pytest.raises(ManifestError, match="run BEANS' script of rfcx"):
        module["prepare"](beans, tmp_path / "out", "rfcx")


def test_watkins_tapes_stay_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "watkins"
    lines = [["path", "species"]]
    for species, prefix in (("Walrus", "610"), ("Narwhal", "720"), ("Ross_Seal", "830"), ("Weddell_Seal", "940")):
        for tape in range(1 if species == "Ross_Seal" else 4):
            for cut in "AB":
                path = f"{species}/{prefix}{tape:02d}{cut}.wav"
                noise(root / path, tape)
                lines.append([path, species])
    write_csv(root / "annotations.csv", lines)
    prepare("watkins", monkeypatch, root, tmp_path / "out")
    tapes = []
    for split in ("train", "dev", "test"):
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        tapes.append({row["supervisions"][0]["custom"]["recording"] for row in rows})
        assert {label_of(row) for row in rows} == {"Walrus", "Narwhal"}
    assert not tapes[0] & tapes[1] | tapes[0] & tapes[2] | tapes[1] & tapes[2]
    prepare("watkins", monkeypatch, root, tmp_path / "published", "--split", "published")
    rows = [row for split in ("train", "dev", "test") for row in rows_of(tmp_path / "published" / f"{split}.jsonl.gz")]
    assert {label_of(row) for row in rows} == {"Walrus", "Narwhal", "Ross_Seal"}
    module = runpy.run_path(str(RECIPES / "watkins" / "prepare.py"))
    with pytest.raises(ManifestError, match=r"There is no .*annotations.csv; unpack watkins.zip"):
        module["prepare"](tmp_path, tmp_path / "none")


def test_dogs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "dogs"
    names = ("Farley", "Zoe", "Mac")
    for number in range(9):
        tone(root / "audio" / f"{number}.wav", 500 + 1000 * (number % 3), number)
    write_csv(root / "annotations.csv", [["filename", "name"], *([f"{n}.wav", names[n % 3]] for n in range(9))])
    prepare("dogs", monkeypatch, root, tmp_path / "out")
    assert Counter(map(label_of, rows_of(tmp_path / "out" / "all.jsonl.gz"))) == dict.fromkeys(names, 3)
    module = runpy.run_path(str(RECIPES / "dogs" / "prepare.py"))
    with pytest.raises(ManifestError, match="unpack dog_barks.zip"):
        module["prepare"](tmp_path, tmp_path / "none")


def write_ogg(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(int(seconds * 8000)), 8000)


@pytest.fixture
def birdset(tmp_path: Path) -> Path:
    root = tmp_path / "HSN"
    rows = []
    for number in range(10):
        write_ogg(root / "train" / f"XC{number}.ogg", 12.0)
        events, clusters = [[1.0, 2.0], [7.0, 9.0], [10.5, 11.5]], [0, 0, -1]
        codes = ["amerob"] if number % 2 else ["amerob", "blujay"]
        row = {"filepath": f"XC{number}.ogg", "ebird_code_multilabel": codes}
        rows.append({**row, "detected_events": events, "event_cluster": clusters})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), root / "HSN_metadata_train.parquet")
    write_ogg(root / "test" / "HSN_001.ogg", 10.0)
    tests = [
        {"filepath": "HSN_001.ogg", "ebird_code_multilabel": codes, "start_time": start, "end_time": start + 5}
        for start, codes in ((0, ["blujay"]), (5, []))
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(tests), root / "HSN_metadata_test_5s.parquet")
    return root


def test_birdset_events_and_windows(birdset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("birdset", monkeypatch, birdset, tmp_path / "out", "--part", "HSN")
    train_rows, dev = (rows_of(tmp_path / "out" / f"{split}.jsonl.gz") for split in ("train", "dev"))
    assert len(train_rows) + len(dev) == 20  # two events of the cluster in each recording, and not the noise
    assert {round(row["start"], 3) for row in train_rows} == {0.0, 5.5}
    assert not {row["recording"]["id"] for row in train_rows} & {row["recording"]["id"] for row in dev}
    assert {label_of(row) for row in train_rows} == {"amerob", "amerob|blujay"}
    test = rows_of(tmp_path / "out" / "test.jsonl.gz")
    assert [(row["start"], row["duration"], label_of(row)) for row in test] == [(0, 5, "blujay"), (5, 5, "")]
    module = runpy.run_path(str(RECIPES / "birdset" / "prepare.py"))
    with pytest.raises(ManifestError, match="0 files named PER_metadata_train.parquet"):
        module["prepare"](birdset, tmp_path / "none", "PER")
    (birdset / "train" / "XC3.ogg").unlink()
    with pytest.raises(ManifestError, match="The recording XC3.ogg is not there"):
        module["prepare"](birdset, tmp_path / "none", "HSN")


@pytest.mark.slow
def test_beans_from_its_folders_to_the_table(beans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("beans", monkeypatch, beans, tmp_path / "out", "cbi", "dcase")
    for name, figure in (("cbi", "uar"), ("dcase", "map")):
        settings = [f"data.dir={tmp_path / 'out' / name}", "upstream=log_mel", "trainer.steps=40"]
        config = read_experiment(RECIPES / "beans" / f"{name}.yaml", [*settings, "trainer.eval_every=20"])
        run = train(config, tmp_path / name)
        assert load_run(run, device="cpu").evaluate()[figure].value > 0.5
