"""Corpora that are not at hand, as miniatures in their published layout: from the raw folders to the result table."""

from __future__ import annotations

import csv
import json
import os
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.published import SPEAKERS, tone, write_iemocap, write_speech_commands
from toys.recipes import RECIPES, needs_recordings, noise, prepare, rows_of, run_script

from audiossl import load_run
from audiossl.core.errors import AudiosslError
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.report import summary_table

torch.set_num_threads(1)

QUICK = ("trainer.eval_every=20", "trainer.lr=0.01")


def field(row: dict[str, Any], name: str) -> Any:
    supervision = row["supervisions"][0]
    return supervision.get(name, supervision["custom"].get(name))


def trained(recipe: str, task: str, manifests: Path, out: Path, *settings: str) -> dict[str, Any]:
    """The metrics.json of a recipe's task on log mel frames."""
    overrides = [f"data.dir={manifests}", "upstream=log_mel", "trainer.steps=60", *QUICK, *settings]
    run = train(read_experiment(RECIPES / recipe / f"{task}.yaml", overrides), out)
    load_run(run, device="cpu").evaluate()
    assert summary_table([run]).row_count == 1
    facts: dict[str, Any] = json.loads((run / "test" / "metrics.json").read_text())
    return facts


@pytest.fixture
def iemocap(tmp_path: Path) -> Path:
    return write_iemocap(tmp_path)


def test_iemocap_turns_are_those_of_the_published_protocol(
    iemocap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare("iemocap", monkeypatch, iemocap, tmp_path / "out")
    assert "100 turns (Ses01 20, Ses02 20, Ses03 20, Ses04 20, Ses05 20)" in capsys.readouterr().out
    rows = rows_of(tmp_path / "out" / "all.jsonl.gz")
    assert Counter(field(row, "label") for row in rows) == {"neu": 20, "hap": 40, "ang": 20, "sad": 20}
    assert Counter(field(row, "speaker") for row in rows) == {f"Ses0{n}{g}": 10 for n in range(1, 6) for g in "FM"}
    for row in rows:
        name = Path(row["id"]).name
        assert field(row, "speaker")[-1] == name.split("_")[-1][0]  # who speaks, not whom the dialog is named after
        assert field(row, "session") == name[:5]
        assert field(row, "kind") == ("improvised" if "impro" in name else "scripted")
        assert field(row, "text") == "Excuse me."


def test_iemocap_without_labels_is_one_sentence(tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "iemocap" / "prepare.py"))
    with pytest.raises(AudiosslError, match="no labelled turn .*give IEMOCAP_full_release"):
        module["prepare"](tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_iemocap_from_its_folders_to_the_table(iemocap: Path, tmp_path: Path) -> None:
    """By the recipe's script, with the sound setting; then the published one, whose dev shares speakers."""
    flags = ("--data", str(iemocap), "--upstream", "log_mel", "--steps", "60", *QUICK)
    done = run_script(RECIPES / "iemocap" / "run.sh", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ua" in done.stdout
    run = tmp_path / "runs" / "iemocap" / "emotion" / "log_mel-seed0"
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["num_items"] == 100
    assert facts["metrics"]["ua"]["value"] > 0.5
    assert list(facts["folds"]) == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"]
    assert (tmp_path / "runs" / "iemocap" / "report" / "index.html").is_file()
    manifests = tmp_path / "data" / "iemocap"
    published = trained(
        "iemocap", "emotion_superb", manifests, tmp_path / "superb", "trainer.steps=4", "trainer.eval_every=2"
    )
    assert set(published["mean_of_folds"]) == {"ua", "wa", "f1"}
    folds = json.loads((tmp_path / "superb" / "folds.json").read_text())
    assert all(len(fold["dev"]) == 16 for fold in folds.values())


@pytest.fixture
def esc50(tmp_path: Path) -> Path:
    """Four classes in five folds, two clips of each cut from one source."""
    root = tmp_path / "ESC-50-master"
    (root / "meta").mkdir(parents=True)
    lines = [["filename", "fold", "target", "category", "esc10", "src_file", "take"]]
    for fold in range(1, 6):
        for target, (category, pitch_hz) in enumerate({"dog": 200, "rain": 800, "cow": 2000, "frog": 5000}.items()):
            for take in "AB":
                source = 1000 * fold + target
                name = f"{fold}-{source}-{take}-{target}.wav"
                tone(root / "audio" / name, pitch_hz, source + ord(take))
                lines.append([name, str(fold), str(target), category, str(target < 2), str(source), take])
    with open(root / "meta" / "esc50.csv", "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(lines)
    return root


def test_esc50_rows_have_official_folds_and_sources(
    esc50: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("esc50", monkeypatch, esc50, tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "all.jsonl.gz")
    assert Counter(field(row, "fold") for row in rows) == {str(fold): 8 for fold in range(1, 6)}
    assert all(Path(row["id"]).name.split("-")[1] == field(row, "speaker") for row in rows)
    prepare("esc50", monkeypatch, esc50, tmp_path / "ten", "--esc10")
    assert {field(row, "label") for row in rows_of(tmp_path / "ten" / "all.jsonl.gz")} == {"dog", "rain"}
    module = runpy.run_path(str(RECIPES / "esc50" / "prepare.py"))
    with pytest.raises(AudiosslError, match=r"There is no .*esc50\.csv; give the unpacked corpus"):
        module["prepare"](tmp_path, tmp_path / "none")


@pytest.mark.slow
def test_esc50_from_its_folders_to_the_table(esc50: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("esc50", monkeypatch, esc50, tmp_path / "out")
    facts = trained("esc50", "sounds", tmp_path / "out", tmp_path / "run")
    assert facts["num_items"] == 40
    assert facts["metrics"]["accuracy"]["value"] > 0.7
    assert list(facts["folds"]) == ["1", "2", "3", "4", "5"]


def test_esc10_names_in_both_layouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/001 - Dog bark/1-100032-A.wav", "a/009 - Rooster/5-7-B.wav", "b/dog_bark_1-100032-A.wav"):
        noise(tmp_path / name, 0, 0.1)
    for folder, expected in (
        ("a", [("dog_bark", "1", "100032"), ("rooster", "5", "7")]),
        ("b", [("dog_bark", "1", "100032")]),
    ):
        prepare("esc10", monkeypatch, tmp_path / folder, tmp_path / "out" / folder)
        rows = rows_of(tmp_path / "out" / folder / "all.jsonl.gz")
        assert sorted((field(row, "label"), field(row, "fold"), field(row, "speaker")) for row in rows) == expected


def test_nemo_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("samples/EB0_anger_1.wav", "samples/WR0_sadness_90.flac", "samples/notes_of_ours.wav"):
        noise(tmp_path / name, 0, 0.1)
    prepare("nemo", monkeypatch, tmp_path, tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "all.jsonl.gz")
    assert sorted((field(row, "speaker"), field(row, "label")) for row in rows) == [
        ("EB0", "anger"),
        ("WR0", "sadness"),
    ]


@pytest.fixture
def speech_commands(tmp_path: Path) -> Path:
    return write_speech_commands(tmp_path)


def test_speech_commands_parts_share_neither_voice_nor_noise(
    speech_commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("speech_commands", monkeypatch, speech_commands, tmp_path / "out")
    prepare("speech_commands", monkeypatch, speech_commands, tmp_path / "again")
    voices: dict[str, set[str]] = {}
    spans: dict[str, list[tuple[float, float]]] = {}
    for split, takes, unknown in (("train", 8, 16), ("dev", 2, 2), ("test", 2, 2)):
        path = tmp_path / "out" / f"{split}.jsonl.gz"
        assert path.read_bytes() == (tmp_path / "again" / f"{split}.jsonl.gz").read_bytes()
        rows = rows_of(path)
        counts = Counter(field(row, "label") for row in rows)
        assert counts.pop("_unknown_") == unknown
        assert counts.pop("_silence_") == takes
        assert set(counts.values()) == {takes}
        assert len(counts) == 10
        voices[split] = {field(row, "speaker") for row in rows if field(row, "label") != "_silence_"}
        silent = [row for row in rows if field(row, "label") == "_silence_"]
        assert all(row["duration"] == pytest.approx(1.0) for row in silent)
        spans[split] = [(row["start"], row["start"] + row["duration"]) for row in silent]
    assert voices == {"train": set(SPEAKERS[:4]), "dev": {SPEAKERS[4]}, "test": {SPEAKERS[5]}}
    for split, (low_s, high_s) in {"train": (0, 24), "dev": (24, 27), "test": (27, 30)}.items():
        assert all(low_s <= start and end <= high_s + 1e-6 for start, end in spans[split])


def test_speech_commands_published_test_set(
    speech_commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("yes", "_silence_", "_unknown_"):
        for number in range(3):
            noise(tmp_path / "test_set" / label / f"{SPEAKERS[number]}_nohash_0.wav", number, 0.2)
    prepare("speech_commands", monkeypatch, speech_commands, tmp_path / "out", "--test-set", tmp_path / "test_set")
    rows = rows_of(tmp_path / "out" / "test.jsonl.gz")
    assert Counter(field(row, "label") for row in rows) == {"yes": 3, "_silence_": 3, "_unknown_": 3}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "testing_list.txt").unlink(),
            r"There is no .*testing_list\.txt; give the unpacked archive",
        ),
        (lambda root: noise(root / "yes" / "me.wav", 0), r"me\.wav is not named like 0a7c2a8d_nohash_0\.wav"),
        (lambda root: [path.unlink() for path in (root / "_background_noise_").glob("*.wav")], "no noise of at least"),
    ],
)
def test_speech_commands_that_were_changed_are_one_sentence(
    speech_commands: Path, tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(speech_commands)
    module = runpy.run_path(str(RECIPES / "speech_commands" / "prepare.py"))
    with pytest.raises(AudiosslError, match=message):
        module["prepare"](speech_commands, tmp_path / "out")


@pytest.mark.slow
def test_speech_commands_from_their_folders_to_the_table(
    speech_commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("speech_commands", monkeypatch, speech_commands, tmp_path / "out")
    facts = trained("speech_commands", "keyword_spotting", tmp_path / "out", tmp_path / "run", "trainer.steps=200")
    assert len(facts["labels"]) == 12
    assert facts["metrics"]["accuracy"]["value"] > 0.5


@pytest.mark.slow
@needs_recordings
@pytest.mark.parametrize(
    ("recipe", "task", "corpus"), [("nemo", "emotion", "nemo_mini"), ("esc10", "sounds", "esc10_16k")]
)
def test_folds_on_the_recordings(
    recipe: str, task: str, corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few folds and steps: better than chance already."""
    prepare(recipe, monkeypatch, Path(os.environ["AUDIOSSL_DATA"]) / corpus, tmp_path / "out")
    facts = trained(recipe, task, tmp_path / "out", tmp_path / "run", "folds=k:2", "trainer.lr=0.001")
    assert facts["num_items"] == len(rows_of(tmp_path / "out" / "all.jsonl.gz"))
    metric = facts["metrics"][facts["monitor"]]
    assert metric["value"] > 1.1 / len(facts["labels"])
