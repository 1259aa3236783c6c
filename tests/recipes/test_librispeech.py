"""LibriSpeech's recipe on a miniature corpus in the published layout: tones in place of speech."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from toys.published import SENTENCES, write_librispeech, write_limited
from toys.warm import python

from audiossl.data.manifests import read_manifest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "librispeech"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_librispeech(tmp_path)


def prepare(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare.py", *map(str, arguments)])
    runpy.run_path(str(RECIPE / "prepare.py"), run_name="__main__")


def test_published_layout_becomes_manifests(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(monkeypatch, corpus, tmp_path / "out", "--lexicon", corpus / "LibriSpeech" / "librispeech-lexicon.txt")
    for split, speakers in (("train", {"1", "2"}), ("dev", {"11", "12"}), ("test", {"21", "22"})):
        cuts = list(read_manifest(tmp_path / "out" / f"{split}.jsonl.gz"))
        assert len(cuts) == 16
        assert {cut.supervisions[0].speaker for cut in cuts} == speakers
        assert [cut.supervisions[0].text for cut in cuts[:8]] == list(SENTENCES)
        assert all(cut.id.split("-")[0] in speakers for cut in cuts)
    assert (tmp_path / "out" / "lexicon.txt").read_text() == "GO G OW1\nNO N OW1\nON OW1 N\n"


def test_limited_sets_are_those_of_libri_light(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="has no librispeech_finetuning"):
        prepare(monkeypatch, corpus, tmp_path / "out", "--labels", "10m")
    write_limited(corpus)
    expected = {"10m": [100, 101], "10m-3": [130, 131], "1h": [*range(100, 160)], "10h": [*range(100, 170)]}
    for labels, speakers in expected.items():
        prepare(monkeypatch, corpus, tmp_path / labels, "--labels", labels)
        found = [int(cut.id.split("-")[0]) for cut in read_manifest(tmp_path / labels / "train.jsonl.gz")]
        assert found == [speaker for speaker in speakers if speaker % 10 < 2]
        assert len(list(read_manifest(tmp_path / labels / "dev.jsonl.gz"))) == 16


def test_what_is_missing_is_named(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lexicon = tmp_path / "short.txt"
    lexicon.write_text("GO G OW1\n")
    with pytest.raises(SystemExit, match="2 of 3 words have no phones: NO, ON"):
        prepare(monkeypatch, corpus, tmp_path / "out", "--lexicon", lexicon)
    with pytest.raises(SystemExit, match="has no part dev-other"):
        prepare(monkeypatch, corpus, tmp_path / "out", "--dev", "dev-other")
    (corpus / "LibriSpeech" / "dev-clean" / "11" / "7" / "11-7-0003.flac").unlink()
    with pytest.raises(SystemExit, match="1 utterance.* of dev-clean .* for instance 11-7-0003"):
        prepare(monkeypatch, corpus, tmp_path / "out")


@pytest.mark.slow
def test_from_raw_folders_to_the_result_table(corpus: Path, tmp_path: Path) -> None:
    """Both tasks through all stages of run.sh; the tones are recognised."""
    sizes = [
        "task.head.hidden=32",
        "task.head.projector_width=32",
        "task.head.frame_s=0.02",
        "task.head.normalize=true",
    ]
    steps = ["trainer.lr=1e-2", "trainer.eval_every=100", "data.batch_size=8", "task.spec_augment.num_time_masks=0"]
    more = ["task.spec_augment.num_feature_masks=0", "task.head.num_layers=1"]
    environment = {**os.environ, "PYTHON": python(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["AUDIOSSL_CACHE"] = str(tmp_path / "cache")
    flags = ["--data", str(corpus), "--upstream", "log_mel", "--task", "asr", "--task", "phone_recognition"]
    command = [str(RECIPE / "run.sh"), *flags, "--steps", "150", *sizes, *steps, *more]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for task, metric, limit in (("asr", "wer", 0.2), ("phone_recognition", "per", 0.3)):
        folder = tmp_path / "runs" / "librispeech" / task / "log_mel-seed0"
        facts = json.loads((folder / "test" / "metrics.json").read_text())
        assert facts["metrics"][metric]["value"] < limit
        assert facts["metrics"][metric]["num_clusters"] == 2  # speakers: too few for an interval of a low rate
        assert f"{metric} (%)" in done.stdout
    assert (tmp_path / "runs" / "librispeech" / "report" / "index.html").is_file()


def test_lexicons_of_superb_come_first_and_others_are_said(tmp_path: Path) -> None:
    """`prepare` of run.sh alone, with `echo` in the place of Python."""
    script = (RECIPE / "run.sh").read_text()
    names = next(line for line in script.splitlines() if line.startswith("lexicons=("))
    body = script[script.index("prepare() {") : script.index("run_stages")]

    def printed() -> list[str]:
        lines = ["set -eu", f"data='{tmp_path}' python=echo recipe=R manifests=M", names, body, "prepare"]
        return subprocess.run(
            ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True
        ).stdout.split("\n")

    others = ["a-lexicon.txt", "librispeech-lexicon.txt"]
    for name in others:
        (tmp_path / name).touch()
    warning, arguments, _ = printed()
    assert warning.startswith("The lexicon is not SUPERB's")
    assert [Path(word).name for word in arguments.split() if "lexicon." in word] == others
    published = ["librispeech-lexicon-200k-g2p.txt", "librispeech-lexicon-allothers-g2p.txt"]
    for name in published:
        (tmp_path / name).touch()
    arguments, _ = printed()
    assert [Path(word).name for word in arguments.split() if word.endswith(".txt")] == [*published, *others]
