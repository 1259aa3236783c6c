"""VoxCeleb1 in miniature from raw folders to the result table; the verification lists of libri_mini."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.published import OTHERS, TEST, VIDEOS, speak, write_voxceleb
from toys.warm import python

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.speaker_verification.trials import read_trials

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"


@pytest.fixture
def voxceleb(tmp_path: Path) -> Path:
    return write_voxceleb(tmp_path)


def prepare(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: Path) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(RECIPES / script), run_name="__main__")


def speakers_of(path: Path) -> set[str]:
    return {cut.supervisions[0].speaker for cut in read_manifest(path)}


def test_voxceleb1_splits(voxceleb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for out in (tmp_path / "out", tmp_path / "again"):
        prepare(monkeypatch, "voxceleb1/prepare.py", voxceleb, out)
    made = tmp_path / "out" / "verification"
    voices = {split: speakers_of(made / f"{split}.jsonl.gz") for split in ("train", "dev", "test", "train_all")}
    assert voices["test"] == set(TEST)
    assert voices["train_all"] == set(OTHERS)
    assert voices["train"] | voices["dev"] == set(OTHERS)
    assert not voices["train"] & voices["dev"]
    assert len(voices["dev"]) == 2
    assert len(read_manifest(made / "test.jsonl.gz")) == 12  # what the trials name, and no more
    assert (made / "trials_test.txt").read_text() == (voxceleb / "veri_test2.txt").read_text()
    drawn = read_trials(made / "trials_dev.txt")
    assert {trial.target for trial in drawn} == {True, False}
    for trial in drawn:
        (voice, video, _), (other, another, _) = trial.enrol.split("/"), trial.test.split("/")
        assert trial.target == (voice == other)
        assert not trial.target or video != another
    assert len({trial[:3] for trial in drawn}) == len(drawn) == 9 * 2 + 36  # all there are
    for name in ("trials_dev.txt", "train.jsonl.gz", "dev.jsonl.gz"):
        assert (made / name).read_bytes() == (tmp_path / "again" / "verification" / name).read_bytes()
    for place, split in enumerate(("train", "dev", "test"), start=1):
        rows = list(read_manifest(tmp_path / "out" / "identification" / f"{split}.jsonl.gz"))
        assert len(rows) == 22
        assert {row.id[-1] for row in rows} == {str(place)}


def test_voxceleb1_says_what_is_missing(voxceleb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(named: str) -> None:
        with pytest.raises(SystemExit, match=named):
            prepare(monkeypatch, "voxceleb1/prepare.py", voxceleb, tmp_path / "out")

    (voxceleb / "wav" / TEST[0] / VIDEOS[0] / "00001.wav").unlink()
    fails(r"veri_test2.txt names 1 recordings that are not there, such as wav/id10270/5r0dWxy17C8/00001.wav")
    (voxceleb / "iden_split.txt").write_text("1 id10001/a/00001.wav\n4 x\n")
    speak(voxceleb / "wav" / TEST[0] / VIDEOS[0] / "00001.wav", 0, 0)
    fails(r"iden_split.txt line 2 is not `1\|2\|3 recording`: '4 x'")
    (voxceleb / "iden_split.txt").unlink()
    fails(r"has no iden_split.txt \(nor veri_test_class.txt\)")


@pytest.fixture
def libri(tmp_path: Path) -> Path:
    lines = ["path,speaker,split"]
    for number in range(8):
        name = f"audio/{number}.flac"
        speak(tmp_path / "libri" / name, number, number)
        lines.append(f"{name},s{number % 4},{('train', 'dev', 'test', 'test')[number % 4]}")
    (tmp_path / "libri" / "manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "libri" / "trials_test_other.txt").write_text(
        "1 audio/2.flac audio/6.flac\n0 audio/2.flac audio/3.flac\n"
    )
    return tmp_path / "libri"


def test_libri_mini_dev_is_cut_in_halves(libri: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(monkeypatch, "libri_mini/prepare_verification.py", libri, tmp_path / "out")
    dev = {cut.id: cut for cut in read_manifest(tmp_path / "out" / "dev.jsonl.gz")}
    assert set(dev) == {"audio/1-1", "audio/1-2", "audio/5-1", "audio/5-2"}
    for name in ("audio/1", "audio/5"):
        first, second = dev[f"{name}-1"], dev[f"{name}-2"]
        assert first.num_samples + second.num_samples == first.recording.num_samples
        assert first.end == pytest.approx(second.start)
        assert first.supervisions[0].speaker == second.supervisions[0].speaker
    assert len(read_trials(tmp_path / "out" / "trials_test.txt")) == 2
    (libri / "trials_test_other.txt").unlink()
    with pytest.raises(SystemExit, match="has no trials_test_other.txt"):
        prepare(monkeypatch, "libri_mini/prepare_verification.py", libri, tmp_path / "out")


def test_voxceleb1_needs_two_dev_speakers() -> None:
    import random

    module = runpy.run_path(str(RECIPES / "voxceleb1" / "prepare.py"))
    with pytest.raises(AudiosslError, match="dev needs two speakers"):
        module["dev_trials"](["id1/a/1.wav", "id1/b/1.wav"], 10, random.Random(0))


def run_script(*arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHON": python(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = str(RECIPES / "voxceleb1" / "run.sh")
    done = subprocess.run([script, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def metrics_of(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((path / "log_mel-seed0" / "test" / "metrics.json").read_text())["metrics"]
    return facts


@pytest.mark.slow
def test_voxceleb1_from_folders_to_the_table(voxceleb: Path, tmp_path: Path) -> None:
    common = ["--data", str(voxceleb), "--upstream", "log_mel", "--steps", "40"]
    small = ["task.projector_width=16", "task.tdnn=[[16,5,1],[24,3,2]]", "trainer.lr=0.01", "trainer.eval_every=20"]
    shown = run_script(*common, *small, "task.margin_warmup_steps=0", "data.max_crop_s=0.4", cwd=tmp_path)
    runs = tmp_path / "runs" / "voxceleb1"
    assert metrics_of(runs / "speaker_verification")["eer"]["value"] < 0.35
    assert shown.count("eer (%)") == 2  # the evaluation and the table
    assert (runs / "report" / "index.html").is_file()
    shown = run_script(*common, "--task", "speaker_identification", "trainer.lr=0.01", cwd=tmp_path)
    assert metrics_of(runs / "speaker_identification")["accuracy"]["value"] > 0.5
    assert shown.count("accuracy (%)") == 2
