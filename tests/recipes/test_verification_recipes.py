"""VoxCeleb1 and 2 and CN-Celeb in miniature, from raw folders to the result table; the lists of libri_mini."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.published import OTHERS, TEST, VIDEOS, speak, write_cn_celeb, write_voxceleb, write_voxceleb2
from toys.warm import python

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
    fails(r"veri_test2.txt names 1 recordings that are not there, such as id10270/5r0dWxy17C8/00001.wav")
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
    # Items 2, 3, 6 and 7 are of the speakers s2, s3, s2 and s3.
    pairs = read_trials(tmp_path / "out" / "trials_test_all.txt")
    assert [trial.target for trial in pairs] == [False, True, False, False, True, False]
    whole = {cut.id: cut.num_samples for cut in read_manifest(tmp_path / "out" / "train.jsonl.gz")}
    parts: Counter[str] = Counter()
    for cut in read_manifest(tmp_path / "out" / "train_parts.jsonl.gz"):
        parts[cut.id.rpartition("-")[0]] += cut.num_samples
    assert parts == whole
    (libri / "trials_test_other.txt").unlink()
    with pytest.raises(SystemExit, match="has no trials_test_other.txt"):
        prepare(monkeypatch, "libri_mini/prepare_verification.py", libri, tmp_path / "out")


@pytest.fixture
def voxceleb2(voxceleb: Path, tmp_path: Path) -> Path:
    """Beside VoxCeleb1, whose three lists differ in length."""
    lines = (voxceleb / "veri_test2.txt").read_text().splitlines(keepends=True)
    (voxceleb / "list_test_all2.txt").write_text("".join(lines[::2]))
    (voxceleb / "list_test_hard2.txt").write_text("".join(lines[::3]))
    return write_voxceleb2(tmp_path)


def test_voxceleb2_splits(voxceleb2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxceleb, out = voxceleb2.parent / "voxceleb1", tmp_path / "out"
    prepare(monkeypatch, "voxceleb2/prepare.py", voxceleb2, out, Path("--voxceleb1"), voxceleb)
    voices = {split: speakers_of(out / f"{split}.jsonl.gz") for split in ("train", "dev", "train_all", "test")}
    assert voices["test"] == set(TEST)
    assert voices["train_all"] == {f"id0{number}000" for number in range(6)}
    assert voices["train"] | voices["dev"] == voices["train_all"]
    assert not voices["train"] & voices["dev"]
    num_trials = [len(read_trials(out / f"trials_{split}.txt")) for split in ("test", "extended", "hard")]
    assert num_trials == [66, 33, 22]
    drawn = read_trials(out / "trials_dev.txt")
    assert len(drawn) == 2 * 4 + 16  # all there are
    (voxceleb / "veri_test2.txt").unlink()
    with pytest.raises(SystemExit, match=r"has no veri_test2\.txt; put that file"):
        prepare(monkeypatch, "voxceleb2/prepare.py", voxceleb2, out, Path("--voxceleb1"), voxceleb)


def test_cn_celeb_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = write_cn_celeb(tmp_path), tmp_path / "out"
    prepare(monkeypatch, "cn_celeb/prepare.py", root, out, Path("--more"), tmp_path / "CN-Celeb2_flac")
    voices = {split: speakers_of(out / f"{split}.jsonl.gz") for split in ("train", "dev", "train_all", "test")}
    assert voices["test"] == {"id00800", "id00801"}
    assert voices["train_all"] == {*(f"id0000{number}" for number in range(5)), "id10000"}
    assert len(voices["dev"]) == 2
    assert voices["train"] == voices["train_all"] - voices["dev"]
    trials = read_trials(out / "trials_test.txt")
    assert trials[0][:3] == (True, "eval/enroll/id00800-enroll", "eval/test/id00800-singing-01-001")
    assert len(trials) == 8
    assert {row.id for row in read_manifest(out / "test.jsonl.gz")} == {name for trial in trials for name in trial[1:3]}
    for trial in read_trials(out / "trials_dev.txt"):
        one, other = (Path(name).name.split("-")[0] for name in trial[1:3])
        assert not trial.target or one != other
    (root / "eval" / "lists" / "trials.lst").write_text("id00800-enroll test/x.wav maybe\n")
    with pytest.raises(SystemExit, match=r"trials\.lst line 1 is not `model recording 1\|0`"):
        prepare(monkeypatch, "cn_celeb/prepare.py", root, out)
    (root / "data" / "id00003").rename(root / "data" / "elsewhere")
    with pytest.raises(SystemExit, match="has no folder id00003"):
        prepare(monkeypatch, "cn_celeb/prepare.py", root, out)


def run_script(recipe: str, *arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHON": python(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = str(RECIPES / recipe / "run.sh")
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
    shown = run_script("voxceleb1", *common, *small, "task.margin_warmup_steps=0", "data.max_crop_s=0.4", cwd=tmp_path)
    runs = tmp_path / "runs" / "voxceleb1"
    assert metrics_of(runs / "speaker_verification")["eer"]["value"] < 0.35
    assert shown.count("eer (%)") == 2  # the evaluation and the table
    assert (runs / "report" / "index.html").is_file()
    shown = run_script("voxceleb1", *common, "--task", "speaker_identification", "trainer.lr=0.01", cwd=tmp_path)
    assert metrics_of(runs / "speaker_identification")["accuracy"]["value"] > 0.5
    assert shown.count("accuracy (%)") == 2


@pytest.mark.slow
def test_voxceleb2_to_the_error_rates_of_three_lists(voxceleb2: Path, tmp_path: Path) -> None:
    small = ["task.head=pooled", "trainer.lr=0.01", "trainer.eval_every=20", "task.margin_warmup_steps=0"]
    flags = ["--data", str(voxceleb2), "--upstream", "log_mel", "--steps", "20", "--stop-stage", "3", *small]
    run_script("voxceleb2", *flags, "data.max_crop_s=0.4", cwd=tmp_path)
    run = tmp_path / "runs" / "voxceleb2" / "speaker_verification" / "log_mel-seed0"
    facts = [json.loads((run / split / "metrics.json").read_text()) for split in ("test", "extended", "hard")]
    assert [found["num_target_trials"] + found["num_nontarget_trials"] for found in facts] == [66, 33, 22]
    assert all(found["metrics"]["eer"]["value"] < 0.5 for found in facts)
