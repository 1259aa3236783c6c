"""Every recipe's configuration is read and trains, its script takes its flags, and it splits its corpus as it says."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from toys.corpora import WRITERS, named_splits, write_foldable, write_table
from toys.recipes import RATE_HZ, RECIPES, needs_recordings, noise, prepare, rows_of, run_script

from audiossl.core.config import read_yaml
from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import read_manifest
from audiossl.data.unit_files import UnitFacts, UnitRow, write_unit_rows
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.training import pretrain

torch.set_num_threads(1)

SETTINGS = sorted(RECIPES.glob("*/*.yaml"))
SCRIPTS = sorted(RECIPES.glob("*/run.sh"))
NAMES = [str(path.relative_to(RECIPES)) for path in SETTINGS]
FLAGS = ("--stage", "--stop-stage", "--data", "--upstream")


def is_pretraining(path: Path) -> bool:
    return not {"downstream", "setting", "task"} & read_yaml(path).keys()


@pytest.fixture
def toy(tmp_path: Path) -> Callable[[Path], list[str]]:
    """Writes manifests of noise under the names that a configuration reads; returns the overrides that point there."""

    def make(settings: Path) -> list[str]:
        experiment = read_yaml(settings)
        three = [f"data.dir={tmp_path}", "trainer.steps=3", "trainer.eval_every=3", "trainer.log_every=1"]
        if writer := WRITERS.get(str(experiment.get("downstream"))):
            return [*three, *writer(settings, tmp_path)]
        splits = write_table(tmp_path, named_splits(experiment))
        if experiment.get("folds"):
            write_foldable(tmp_path, experiment.get("data", {}).get("all", "all"))
        return [*three, *trial_lists(settings, splits, tmp_path), *recognition(settings, tmp_path)]

    return make


def trial_lists(settings: Path, splits: dict[str, Any], folder: Path) -> list[str]:
    """All pairs of a split as a list, for each split for which a configuration names one. Other splits are as test."""
    overrides = []
    for split in read_yaml(settings).get("task", {}).get("trials", {}):
        voices = {cut.id: cut.supervisions[0].speaker for cut in splits.get(split, splits["test"])}
        lines = [f"{int(voices[a] == voices[b])} {a} {b}" for a in voices for b in voices if a < b]
        (folder / f"trials_{split}.txt").write_text("\n".join(lines) + "\n")
        overrides.append(f"task.trials.{split}={folder}/trials_{split}.txt")
    return overrides


def recognition(settings: Path, folder: Path) -> list[str]:
    """A small head for speech recognition, units that two words can give, and a lexicon where one is named."""
    experiment = read_yaml(settings)
    if experiment.get("downstream") not in ("asr", "slot_filling"):
        return []
    overrides = ["task.head.hidden=8", "task.head.projector_width=8", "task.text.size=6"]
    if experiment.get("task", {}).get("text", {}).get("lexicon"):
        (folder / "lexicon.txt").write_text("YES Y EH1 S\nNO N OW1\n")
        overrides.append(f"task.text.lexicon={folder}/lexicon.txt")
    return overrides


def at_toy_size(settings: Path, folder: Path) -> list[str]:
    """An encoder of one small block, rows of any length, a teacher that ships and random units where they are named."""
    experiment = read_yaml(settings)
    if experiment.get("init"):  # which decides what the encoder is
        return ["data.min_duration_s=0", "data.num_workers=0"]
    if experiment["upstream"] == "multi_view":  # of encoders that ship
        return ["data.num_workers=0"]
    options = ["width=8", "num_heads=2", "ffn_width=8", "num_layers=1"]
    if experiment["upstream"] == "wav2vec":
        size = len(experiment["upstream_options"]["conv_strides"])
        options = [f"conv_widths={[8] * size}", "width=8", "codes=8", "code_width=8", "aggregator_kernels=[2,3]"]
    if experiment["upstream"] in ("hubert", "wav2vec2", "wavlm", "data2vec"):
        options += ["conv_widths=[8,8,8,8,8,8,8]", "position_kernel=4", "position_groups=2"]
    if experiment["upstream"] == "bert":
        options += ["position_kernel=4", "position_groups=2"]
        options += ["num_units=7"] if experiment["objective"] == "masked_units" else []
    overrides = [f"upstream_options.{option}" for option in options]
    if experiment.get("objective") == "data2vec":
        overrides += ["objective_options.top_layers=1", "objective_options.decoder_groups=2"]
    if experiment["upstream"] == "hubert" and experiment["objective"] == "distil":
        overrides.append("objective_options.copy_layers=false")  # of a teacher of another family
    terms = experiment.get("objective_options", {}).get("terms", {})
    of_terms = {f"terms.{name}.options.": term.get("name", name) for name, term in terms.items()}
    for place, objective in {"": experiment["objective"], **of_terms}.items():
        if objective == "distil":
            overrides += [f"objective_options.{place}teacher=tera_mini", f"objective_options.{place}pairs=[[1,2]]"]
    overrides += ["data.min_duration_s=0", "data.num_workers=0", "trainer.batches_per_step=1"]
    if experiment.get("objective_options", {}).get("labels"):
        rows = []
        for split in ("train", "dev"):
            for cut in read_manifest(folder / f"{split}.jsonl.gz"):
                rows.append(UnitRow(cut.id, np.arange(round(50 * cut.duration)) % 7, UnitFacts(50.0, 7)))
        write_unit_rows(folder / "labels" / "all.units", rows)
        overrides.append(f"objective_options.labels=[{folder}/labels]")
    return overrides


def test_all_recipes_are_here() -> None:
    assert {path.parent.name for path in SCRIPTS} >= {"quickstart", "fsdd", "wakewords", "libri_mini", "pretrain"}


@pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)
def test_settings_are_read(settings: Path) -> None:
    """Unknown keys and wrong types are errors of `read_experiment`; data lie where the recipe's run.sh puts them."""
    config = read_experiment(settings, pretrain=is_pretraining(settings))
    corpus = "" if is_pretraining(settings) else settings.parent.name  # published settings are for LibriSpeech
    assert config.data.dir.startswith(f"data/{corpus}")
    assert (settings.parent / "README.md").is_file()


@pytest.mark.parametrize("settings", SETTINGS, ids=NAMES)
def test_settings_train(settings: Path, toy: Callable[[Path], list[str]], tmp_path: Path) -> None:
    overrides = toy(settings)
    out = tmp_path / "run"
    if is_pretraining(settings):
        pretrain(read_experiment(settings, [*overrides, *at_toy_size(settings, tmp_path)], pretrain=True), out)
    else:
        upstream = "tera_mini" if read_yaml(settings).get("finetune") else "log_mel"  # which has nothing to train
        train(read_experiment(settings, [*overrides, f"upstream={upstream}"]), out)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["split"] == "train"]
    trains = read_yaml(settings).get("downstream") != "query_by_example"
    assert len(losses) == (3 if trains else 0)
    assert np.isfinite(losses).all()
    assert any(line["split"] == "dev" for line in lines)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)
def test_script(script: Path, tmp_path: Path) -> None:
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert text.count("\n") <= 60
    assert os.access(script, os.X_OK)
    for path in (script, RECIPES / "common.sh"):
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    shown = run_script(script, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert all(flag in shown.stdout for flag in FLAGS)


@pytest.mark.parametrize(
    "wrong",
    [["--stag", "1"], ["--stage", "5"], ["--stage"], ["--steps", "many"], ["--task", "none"], ["fsdd"]],
    ids=" ".join,
)
def test_wrong_flags_are_refused(wrong: list[str], tmp_path: Path) -> None:
    for script in SCRIPTS:
        done = run_script(script, *wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "Usage: " in done.stderr
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "fsdd",
        "wakewords",
        "libri_mini",
        "pretrain",
        "nemo",
        "iemocap",
        "esc10",
        "esc50",
        "speech_commands",
        "voxceleb1",
        "voxceleb2",
        "cn_celeb",
    ],
)
def test_missing_recordings_are_one_sentence(name: str, tmp_path: Path) -> None:
    done = run_script(RECIPES / name / "run.sh", "--stage", "1", "--stop-stage", "1", cwd=tmp_path, AUDIOSSL_DATA="")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "--data" in done.stderr


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Two digits by all six speakers, takes 0 to 15, named as published."""
    folder = tmp_path / "fsdd"
    speakers = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    names = [f"{digit}_{speaker}_{take}" for digit in (0, 1) for speaker in speakers for take in range(16)]
    for number, name in enumerate(names):
        noise(folder / "recordings" / f"{name}.wav", number, 0.05)
    return folder


def test_fsdd_published_split(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("fsdd", monkeypatch, digits, tmp_path / "out")
    takes = {"test": range(5), "dev": range(5, 10), "train": range(10, 16)}
    for split, expected in takes.items():
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert len(rows) == 2 * 6 * len(expected)
        assert {int(row["id"].rsplit("_", 1)[1]) for row in rows} == set(expected)
        for row in rows:
            digit, speaker, _ = Path(row["id"]).name.split("_")
            assert row["supervisions"][0]["custom"]["label"] == digit
            assert row["supervisions"][0]["speaker"] == speaker


def test_fsdd_few_shot_draws(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("fsdd", monkeypatch, digits, tmp_path / "out")
    prepare("fsdd", monkeypatch, digits, tmp_path / "again")
    train_ids = {row["id"] for row in rows_of(tmp_path / "out" / "train.jsonl.gz")}
    draws = []
    for seed in range(5):
        name = f"train_5shot_seed{seed}.jsonl.gz"
        rows = rows_of(tmp_path / "out" / name)
        assert Counter(row["supervisions"][0]["custom"]["label"] for row in rows) == {"0": 5, "1": 5}
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        draws.append(frozenset(row["id"] for row in rows))
        assert draws[-1] <= train_ids
    assert len(set(draws)) == 5


def test_fsdd_speaker_disjoint_split(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("fsdd", monkeypatch, digits, tmp_path / "out", "--split", "speaker_disjoint")
    speakers = {
        split: {row["supervisions"][0]["speaker"] for row in rows_of(tmp_path / "out" / f"{split}.jsonl.gz")}
        for split in ("train", "dev", "test")
    }
    assert [len(speakers[split]) for split in ("train", "dev", "test")] == [3, 1, 2]
    assert len(set.union(*speakers.values())) == 6


def test_fsdd_samples_are_verified(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="is not the published dataset: 192 recordings"):
        prepare("fsdd", monkeypatch, digits, "--verify")


def test_fsdd_digest_is_of_the_samples(tmp_path: Path) -> None:
    """WAV and FLAC of the same samples agree, and the digest is what its docstring says."""
    digest = runpy.run_path(str(RECIPES / "fsdd" / "prepare.py"))["samples_digest"]
    samples = np.array([0, 1, -2, 32767, -32768], dtype=np.int16)
    for suffix in ("wav", "flac"):
        soundfile.write(tmp_path / f"3_theo_7.{suffix}", samples, RATE_HZ, subtype="PCM_16")
    line = f"3_theo_7 {hashlib.sha256(samples.astype('<i2').tobytes()).hexdigest()}\n"
    expected = hashlib.sha256(line.encode()).hexdigest()
    assert digest([tmp_path / "3_theo_7.wav"]) == digest([tmp_path / "3_theo_7.flac"]) == expected


def test_fsdd_without_recordings(tmp_path: Path) -> None:
    module = runpy.run_path(str(RECIPES / "fsdd" / "prepare.py"))
    with pytest.raises(AudiosslError, match="no recording named like"):
        module["prepare"](tmp_path, tmp_path / "out", "published")


def test_libri_mini_segments_stay_in_their_utterance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runpy.run_path(str(RECIPES / "libri_mini" / "prepare.py"))
    assert list(module["segments"](7.0)) == [(0.0, 3.0), (3.0, 6.0)]
    assert list(module["segments"](7.5)) == [(0.0, 3.0), (3.0, 6.0), (6.0, 7.5)]
    assert list(module["segments"](1.4)) == []
    for number, chapter in enumerate(module["CHAPTERS"]):
        for utterance in range(10):
            name = f"{chapter}-{utterance:04d}.flac"
            noise(tmp_path / "in" / chapter.replace("-", "/") / name, 10 * number + utterance, 4.6)
    prepare("libri_mini", monkeypatch, tmp_path / "in", tmp_path / "out")
    expected = {"train": {0, 1, 2, 3, 4}, "dev": {5, 6}, "test": {7, 8, 9}}
    for split, numbers in expected.items():
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert {int(row["recording"]["id"][-4:]) for row in rows} == numbers
        assert len(rows) == 10 * 2 * len(numbers)
        assert len({row["supervisions"][0]["speaker"] for row in rows}) == 10
        assert all(row["duration"] <= 3.0 for row in rows)


def test_wakewords_split_is_of_six_words_without_repetition() -> None:
    lines = [line.split(",") for line in (RECIPES / "wakewords" / "split.csv").read_text().splitlines()[1:]]
    assert len({path for path, *_ in lines}) == len(lines) == 446
    assert len({label for _, label, *_ in lines}) == 6
    assert Counter(split for *_, split in lines) == {"train": 280, "dev": 77, "test": 89}


@pytest.mark.slow
def test_quickstart_on_the_shipped_corpus(tmp_path: Path) -> None:
    """All stages, from another folder, without recordings: one line says what was used, one table the figures."""
    script = RECIPES / "quickstart" / "run.sh"
    flags = ("--steps", "3", "--upstream", "log_mel", "--upstream", "mfcc")
    done = run_script(script, *flags, cwd=tmp_path, AUDIOSSL_DATA="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Recordings: the synthetic voices") == 1
    assert done.stdout.count("accuracy (%)") == 3  # two evaluations and one table
    assert (tmp_path / "runs" / "quickstart" / "report" / "index.html").is_file()


@pytest.mark.slow
@needs_recordings
@pytest.mark.parametrize(
    ("recipe", "tasks"),
    [
        ("fsdd", ["few_shot", "unseen_speakers"]),
        ("wakewords", ["keyword_spotting"]),
        ("libri_mini", ["speaker"]),
    ],
)
def test_recipe_on_the_recordings(recipe: str, tasks: list[str], tmp_path: Path) -> None:
    """All stages with few steps: better than chance already, since log mel frames tell these classes apart."""
    flags = [word for task in tasks for word in ("--task", task)]
    script = RECIPES / recipe / "run.sh"
    done = run_script(script, *flags, "--upstream", "log_mel", "--steps", "60", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for task in tasks:
        facts = json.loads((tmp_path / "runs" / recipe / task / "log_mel-seed0/test/metrics.json").read_text())
        assert facts["metrics"]["accuracy"]["value"] > 1.2 / len(facts["labels"])


@pytest.mark.slow
@needs_recordings
def test_fsdd_recordings_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("fsdd", monkeypatch, Path(os.environ["AUDIOSSL_DATA"]) / "fsdd", "--verify")
