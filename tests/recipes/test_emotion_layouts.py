"""Emotion corpora that are not at hand, as miniatures in their published layout: from the folders to the rows."""

from __future__ import annotations

import csv
import re
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from toys.published import tone
from toys.recipes import RECIPES, prepare, rows_of
from toys.words import cut_of

from audiossl.core.errors import AudiosslError
from audiossl.data.folds import draw_folds
from audiossl.data.manifests import read_manifest
from audiossl.experiments.config import read_experiment

NAMES = {
    "emodb": [
        f"wav/{speaker}{text}{emotion}a.wav" for speaker in ("03", "08") for text in ("a01",) for emotion in "WN"
    ],
    "ravdess": [
        f"Actor_{actor}/03-01-{emotion}-01-02-01-{actor}.wav" for actor in ("01", "02") for emotion in ("01", "05")
    ],
    "crema_d": [f"AudioWAV/{actor}_DFA_{emotion}_XX.wav" for actor in (1001, 1002) for emotion in ("ANG", "NEU")],
}
OTHERS = {
    "emodb": "wav/readme.wav",
    "ravdess": "Actor_01/03-02-05-01-02-01-01.wav",  # a song
    "crema_d": "AudioWAV/extra.wav",
}
SPEAKERS = {"emodb": {"03", "08"}, "ravdess": {"01", "02"}, "crema_d": {"1001", "1002"}}


def field(row: dict[str, Any], name: str) -> Any:
    supervision = row["supervisions"][0]
    return supervision.get(name, (supervision.get("custom") or {}).get(name))


@pytest.mark.parametrize("recipe", sorted(NAMES))
def test_speaker_and_emotion_are_in_the_name(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate([*NAMES[recipe], OTHERS[recipe]]):
        tone(tmp_path / "corpus" / name, 300 + 100 * number, number)
    prepare(recipe, monkeypatch, tmp_path / "corpus", tmp_path / "out")
    prepare(recipe, monkeypatch, tmp_path / "corpus", tmp_path / "out")  # without harm
    rows = rows_of(tmp_path / "out" / "all.jsonl.gz")
    assert Counter(field(row, "label") for row in rows) == {"anger": 2, "neutral": 2}
    assert {field(row, "speaker") for row in rows} == SPEAKERS[recipe]
    assert read_experiment(RECIPES / recipe / "emotion.yaml").folds.group == "speaker"
    with pytest.raises(AudiosslError, match="has no (recording|speech) named like .*; give"):
        runpy.run_path(str(RECIPES / recipe / "prepare.py"))["prepare"](tmp_path / "out", tmp_path / "other")


@pytest.mark.parametrize(("recipe", "num"), [("emodb", 10), ("ravdess", 24), ("crema_d", 91)])
def test_folds_hold_out_whole_speakers(recipe: str, num: int) -> None:
    config = read_experiment(RECIPES / recipe / "emotion.yaml")
    cuts = [
        cut_of(10 * speaker + take, "ab"[take % 2], f"s{speaker:02}") for speaker in range(num) for take in range(4)
    ]
    for fold in draw_folds(cuts, config.folds, 0, "all"):
        parts = [{cut.supervisions[0].speaker for cut in rows} for _, rows in fold.parts()]
        assert all(parts)
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def msp(folder: Path, rename: str = "") -> Path:
    header = ["FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set"]
    lines = []
    for number, (split, emotion, speaker) in enumerate(
        (split, emotion, speaker)
        for split, speaker in (("Train", "1"), ("Development", "2"), ("Test1", "3"), ("Test2", "Unknown"))
        for emotion in "AHSNX"
    ):
        name = f"MSP-PODCAST_0001_{number:04}.wav"
        tone(folder / "Audios" / name, 300 + 50 * number, number)
        lines.append([name, emotion, f"{1 + number % 6}.5", "4.0", "3.25", speaker, "Male", split])
    (folder / "Labels").mkdir()
    with open(folder / "Labels" / "labels_consensus.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[rename if name == "SpkrID" and rename else name for name in header], *lines])
    return folder


def test_msp_podcast_has_its_own_splits_emotions_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("msp_podcast", monkeypatch, msp(tmp_path / "msp"), tmp_path / "out")
    for split, speaker in (("train", "1"), ("dev", "2"), ("test", "3")):
        labelled = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert sorted(field(row, "label") for row in labelled) == ["anger", "happiness", "neutral", "sadness"]
        numbers = rows_of(tmp_path / "out" / f"{split}_numbers.jsonl.gz")
        assert len(numbers) == 5
        assert {field(row, "speaker") for row in numbers} == {speaker}
        assert {float(field(row, "valence")) for row in numbers} == {4.0}
    prepare("msp_podcast", monkeypatch, tmp_path / "msp", tmp_path / "second", "--test", "Test2")
    assert {cut.supervisions[0].speaker for cut in read_manifest(tmp_path / "second" / "test.jsonl.gz")} == {None}
    config = read_experiment(RECIPES / "msp_podcast" / "attributes.yaml")
    assert config.task["label_fields"] == ["valence", "arousal", "dominance"]
    assert read_experiment(RECIPES / "msp_podcast" / "emotion.yaml").task["class_weights"]


def test_what_msp_podcast_lacks_is_named(tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "msp_podcast" / "prepare.py"))
    with pytest.raises(AudiosslError, match=re.escape("labels_consensus.csv; give the folder of the corpus")):
        module["prepare"](tmp_path, tmp_path / "out")
    folder = msp(tmp_path / "msp", rename="Speaker")
    with pytest.raises(AudiosslError, match="has no column 'SpkrID'"):
        module["prepare"](folder, tmp_path / "out")
    folder = msp(tmp_path / "whole")
    with pytest.raises(AudiosslError, match="has no row of test; give the whole table, or another --test"):
        module["prepare"](folder, tmp_path / "out", "Test9")
