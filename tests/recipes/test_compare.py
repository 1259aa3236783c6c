"""The script of the two comparisons: what it refuses, and that what is finished is not done again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toys.core import ROOT
from toys.recipes import noise

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv

SCRIPT = ROOT / "recipes" / "pretrain" / "compare.sh"


def compare(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)


def test_flags(tmp_path: Path) -> None:
    shown = compare("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "--tuning" in shown.stdout
    for wrong in ([], ["hubert"], ["tera", "--steps"], ["tera", "--step", "5"]):
        done = compare(*wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
    done = compare("bert", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: there is no data/pretrain/train.jsonl.gz; see --help.\n"
    assert not list(tmp_path.iterdir())


def write_prompts(folder: Path) -> Path:
    """Noise of two seconds with sentences of many letters, of which 150 word pieces can be made."""
    rng, lines = np.random.default_rng(0), ["path,speaker,transcript,split"]
    for number in range(60):
        name = noise(folder / "audio" / f"{number}.wav", number, seconds=2.0).name
        words = ["".join(rng.choice(list("etaoinshrdlu"), 4)) for _ in range(5)]
        lines.append(f"audio/{name},ann,{' '.join(words)},{('train', 'train', 'train', 'dev', 'test')[number % 5]}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    return folder


@pytest.mark.slow
@pytest.mark.long
def test_every_alteration_and_again(corpus: Path, tmp_path: Path) -> None:
    tiny = [f"upstream_options.{each}" for each in ("width=8", "num_heads=2", "ffn_width=8")]
    settings = [*tiny, "trainer.eval_every=2", "trainer.warmup_steps=1", "data.min_duration_s=0"]
    places = ["--manifests", corpus, "--asterisk", write_prompts(tmp_path / "asterisk"), "--out", tmp_path / "out"]
    arguments = ["tera", *places, "--steps", 2, "--batch-s", 4, "--tuning", 2, "--jobs", 2, *settings]
    done = compare(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "tera").glob("*/upstream.safetensors"))) == 8
    assert len(list((tmp_path / "out" / "tera" / "asr").glob("*-seed0/test/metrics.json"))) == 12
    again = compare(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    said = [path.read_text() for path in (tmp_path / "out" / "tera" / "logs").glob("*.txt")]
    assert ["is finished" in text for text in said] == [True] * 20


@pytest.mark.slow
@pytest.mark.long
def test_what_fails_stops_the_others_and_says_where(corpus: Path, tmp_path: Path) -> None:
    arguments = ["tera", "--manifests", corpus, "--asterisk", corpus, "--jobs", 2, "--out", tmp_path / "out"]
    done = compare(*arguments, "upstream_options.width=-1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: a training failed; the files in ")
