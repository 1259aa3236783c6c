"""What the tests of recipes share: sound to prepare, scripts to run, manifests to read."""

from __future__ import annotations

import gzip
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from toys.core import ROOT
from toys.warm import python

RECIPES = ROOT / "recipes"
RATE_HZ = 8000

needs_recordings = pytest.mark.skipif("AUDIOSSL_DATA" not in os.environ, reason="AUDIOSSL_DATA names no recordings")


def noise(path: Path, seed: int, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ))
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path


def run_script(script: Path, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    full = {**os.environ, "PYTHON": python(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    full = {name: value for name, value in full.items() if value}
    command = [str(script), *arguments]
    return subprocess.run(command, cwd=cwd, env=full, capture_output=True, text=True, check=False)


def rows_of(manifest: Path) -> list[dict[str, Any]]:
    with gzip.open(manifest, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def prepare(recipe: str, monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> None:
    script = RECIPES / recipe / "prepare.py"
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    runpy.run_path(str(script), run_name="__main__")
