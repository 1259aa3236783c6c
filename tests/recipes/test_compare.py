"""The script of the two comparisons: what it refuses, and that what is finished is not done again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.core import ROOT

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


@pytest.mark.slow
@pytest.mark.long
def test_every_alteration_and_again(corpus: Path, tmp_path: Path) -> None:
    tiny = [f"upstream_options.{each}" for each in ("width=8", "num_heads=2", "ffn_width=8")]
    settings = [*tiny, "trainer.eval_every=2", "trainer.warmup_steps=1", "data.min_duration_s=0"]
    arguments = ["tera", "--manifests", corpus, "--steps", 2, "--batch-s", 4, "--out", tmp_path / "out", *settings]
    done = compare(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "tera").glob("*/upstream.safetensors"))) == 8
    again = compare(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished") == 8
