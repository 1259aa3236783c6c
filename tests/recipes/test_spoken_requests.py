"""Intents and slots as miniatures in their published layout, from the folders to the table."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.published import write_fluent_speech_commands, write_snips
from toys.recipes import RECIPES, prepare, rows_of, run_script

from audiossl.core.errors import AudiosslError
from audiossl.experiments.config import read_experiment

QUICK = ("trainer.eval_every=20", "trainer.lr=0.01")


def field(row: dict[str, Any], name: str) -> Any:
    supervision = row["supervisions"][0]
    return supervision.get(name, (supervision.get("custom") or {}).get(name))


def written(text: str, name: str, line: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text((root / name).read_text().replace(text, line))


def test_fluent_speech_commands_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_fluent_speech_commands(tmp_path)
    prepare("fluent_speech_commands", monkeypatch, root, tmp_path / "out")
    voices = {}
    for split, num in (("train", 24), ("dev", 6), ("test", 6)):
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert len(rows) == num
        voices[split] = {field(row, "speaker") for row in rows}
        intents = Counter(field(row, "intent") for row in rows)
        assert intents == dict.fromkeys(
            ("activate_lights_kitchen", "activate_music_none", "increase_heat_kitchen"), num / 3
        )
        assert all(
            field(row, "intent") == "_".join(field(row, slot) for slot in ("action", "object", "location"))
            for row in rows
        )
        assert {field(row, "text") for row in rows} == {"Do it now"}
    assert not (voices["train"] & voices["dev"] or voices["train"] & voices["test"] or voices["dev"] & voices["test"])


def test_snips_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_snips(tmp_path)
    prepare("snips", monkeypatch, root, tmp_path / "out")
    for split, voices in (("train", {"Ivy", "Joey"}), ("dev", {"Amy", "Nicole"}), ("test", {"Brian", "Emma"})):
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert (len(rows), {field(row, "speaker") for row in rows}) == (16, voices)
        assert {field(row, "intent") for row in rows} == {"PlayMusic"}
        said = {field(row, "text"): field(row, "slots") for row in rows}
        assert said["GO NO ON"] == "B-artist GO E-artist NO B-album ON E-album"
        assert said["GO ON ON"] == "B-artist GO E-artist B-album ON ON E-album"  # neighbours of a type are one slot
        assert said["NO"] == "NO"


def test_slots_of_snips_by_hand() -> None:
    marked = runpy.run_path(str(RECIPES / "snips" / "prepare.py"))["marked"]
    for labels in ("O a a b O", "O B-a I-a B-b O"):
        assert marked(["w", "x", "y", "z", "."], labels.split()) == "w B-a x y E-a B-b z E-b"
    assert marked(["x", "y"], ["B-a", "B-a"]) == "B-a x E-a B-a y E-a"
    assert marked(["-", "x", ".", "y", "?"], ["a"] * 5) == "B-a x y E-a"


@pytest.mark.parametrize(
    ("recipe", "write", "spoil", "message"),
    [
        (
            "fluent_speech_commands",
            write_fluent_speech_commands,
            lambda root: (root / "data" / "valid_data.csv").unlink(),
            r"There is no .*valid_data\.csv; give the folder",
        ),
        (
            "fluent_speech_commands",
            write_fluent_speech_commands,
            written("location", "data/train_data.csv", "place"),
            r"train_data\.csv has no column 'location'",
        ),
        ("snips", write_snips, lambda root: (root / "all.iob.snips.txt").unlink(), r"There is no .*iob\.snips\.txt"),
        (
            "snips",
            write_snips,
            written("GO ON . EOS\tO", "all.iob.snips.txt", "GO ON . EOS\tO O"),
            "words and .* labels",
        ),
        ("snips", write_snips, written("Ivy-snips-train-3 ", "all.iob.snips.txt", "x "), r"3\.wav has no line in"),
        ("snips", write_snips, lambda root: (root / "test").rename(root / "other"), "has no recording for test"),
    ],
)
def test_what_was_changed_is_one_sentence(
    recipe: str, write: Callable[[Path], Path], spoil: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    root = write(tmp_path)
    spoil(root)
    with pytest.raises(AudiosslError, match=message):
        runpy.run_path(str(RECIPES / recipe / "prepare.py"))["prepare"](root, tmp_path / "out")


def test_settings_are_the_published_ones() -> None:
    intents = read_experiment(RECIPES / "fluent_speech_commands" / "intent_classification.yaml")
    assert (intents.setting, intents.data.batch_size, intents.standardize) == ("superb", 32, False)
    slots = read_experiment(RECIPES / "snips" / "slot_filling.yaml")
    assert (slots.trainer.steps, slots.trainer.eval_every, slots.trainer.lr) == (200000, 2000, 1e-4)
    assert slots.task["append_eos"] is True


@pytest.mark.slow
def test_commands_from_their_folders_to_the_table(tmp_path: Path) -> None:
    root = write_fluent_speech_commands(tmp_path)
    script = RECIPES / "fluent_speech_commands" / "run.sh"
    done = run_script(script, "--data", str(root), "--upstream", "log_mel", "--steps", "60", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "fluent_speech_commands" / "intent_classification" / "log_mel-seed0"
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["metrics"]["accuracy"]["value"] > 0.8
    assert facts["monitor"] == "accuracy"


@pytest.mark.slow
def test_requests_from_their_folders_to_the_table(tmp_path: Path) -> None:
    root = write_snips(tmp_path)
    head = "task.head={projector_width: 16, hidden: 16, normalize: true, frame_s: 0.02}"
    small = (head, "task.spec_augment={num_time_masks: 0, num_feature_masks: 0}", "task.append_eos=false")
    flags = ("--data", str(root), "--upstream", "log_mel", "--steps", "200", "trainer.lr=0.02", "trainer.eval_every=50")
    done = run_script(RECIPES / "snips" / "run.sh", *flags, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "snips" / "slot_filling" / "log_mel-seed0"
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["metrics"]["slot_type_f1"]["value"] > 0.5
    assert "slot_value_cer" in facts["metrics"]
