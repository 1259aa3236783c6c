"""The script of HuBERT's iterations: what it refuses, and that what is finished is not done again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.core import ROOT

SCRIPT = ROOT / "recipes" / "pretrain" / "hubert_chain.sh"


def chain(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), *map(str, arguments)]
    variables = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)


def test_flags(tmp_path: Path) -> None:
    shown = chain("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "--clusters" in shown.stdout
    for wrong in (["--cluster", "5"], ["--layer"], ["mfcc"]):
        done = chain(*wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
    done = chain(cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: there is no data/pretrain/train.jsonl.gz; see --manifests.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.long
def test_two_iterations_and_again(corpus: Path, tmp_path: Path) -> None:
    tiny = [f"upstream_options.{each}" for each in ("width=8", "num_layers=1", "num_heads=2", "ffn_width=8")]
    settings = [*tiny, "trainer.steps=2", "trainer.eval_every=2", "data.min_duration_s=0", "data.max_duration_s=4"]
    arguments = ["--manifests", corpus, "--clusters", "4 5", "--layer", "1", "--out", tmp_path / "out", *settings]
    done = chain(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"The encoder is {tmp_path}/out/run2.\n")
    again = chain(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("is finished") == 2
