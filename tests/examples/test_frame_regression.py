"""The example of a task in a package of its own: found, trained, evaluated and resumed without a line of the core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from toys.core import RATE_HZ, ROOT

from audiossl.core.files import read_jsonl
from audiossl.core.types import Batch
from audiossl.data.loader import collate
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train

Make = Callable[..., Any]
EXAMPLE = ROOT / "examples" / "frame_regression"


@pytest.fixture
def installed(install: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """The example as an installed distribution; its entry points."""
    return install("frame_regression")


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    """Manifests of white noise at levels from -50 to -10 dB, by three speakers."""
    rng = np.random.default_rng(0)
    lines = ["path,speaker,split"]
    for number in range(32):
        level_db = -50 + 40 * number / 31
        samples = 10 ** (level_db / 20) * rng.standard_normal(3000 + 100 * number)
        soundfile.write(tmp_path / f"{number}.wav", samples.clip(-1, 1), RATE_HZ)
        lines.append(f"{number}.wav,s{number % 3},{('train', 'train', 'dev', 'test')[number % 4]}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path / "manifests")
    return tmp_path / "manifests"


def test_it_is_listed_trained_evaluated_and_predicts(
    installed: dict[str, str], experiment: Make, audiossl: Make, noises: Path, tmp_path: Path
) -> None:
    listed = {card["name"]: card for card in json.loads(audiossl("list", "downstreams", "--json").out)}
    assert listed["frame_level"]["summary"].startswith("How loud each frame is")
    settings = [f"data.dir={noises}", "upstream=log_mel", "trainer.lr=0.005", "trainer.steps=150"]
    out = train(experiment("downstream=frame_level", *settings, "trainer.eval_every=150"), tmp_path / "run")
    done = audiossl("evaluate", out, "--json")
    assert done.code == 0, done.err
    error = json.loads(done.out)["error_db"]
    assert error["low"] <= error["value"] <= error["high"] < 3  # the mean level alone is wrong by 10 dB
    rows = read_jsonl(out / "test" / "predictions.jsonl")
    assert sum(row["error_db"] * row["num_frames"] for row in rows) / sum(row["num_frames"] for row in rows) == (
        pytest.approx(error["value"])
    )
    shown = audiossl("predict", out, next(iter(read_manifest(noises / "test.jsonl.gz"))).recording.sources[0].source)
    assert "error_db" in shown.out


def test_its_batches_equal_their_items_one_by_one(
    installed: dict[str, str], experiment: Make, corpus: Path, tmp_path: Path
) -> None:
    out = train(experiment("downstream=frame_level", "upstream=log_mel", "trainer.steps=2"), tmp_path / "run")
    task = load_run(out, device="cpu").task
    cuts = list(read_manifest(corpus / "test.jsonl.gz"))
    batch = collate(cuts, 16000)
    together = task.predict(batch)
    for index, cut in enumerate(cuts):
        alone = task.predict(collate([cut], 16000))[0]
        assert alone["num_frames"] == together[index]["num_frames"]
        assert alone["error_db"] == pytest.approx(together[index]["error_db"], rel=1e-5)
    parts = [
        task.loss(Batch(batch.wavs[rows], batch.lengths[rows], batch.cuts[rows])) for rows in (slice(4), slice(4, 12))
    ]
    mean = sum(part.total * part.weight for part in parts) / sum(part.weight for part in parts)
    torch.testing.assert_close(mean, task.loss(batch).total)


@pytest.mark.slow
def test_pip_installs_it(tmp_path: Path) -> None:
    place = str(tmp_path / "site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        place,
    ]
    copy = tmp_path / "frame_regression"
    copy.mkdir()
    for name in ("pyproject.toml", "frame_regression.py"):
        (copy / name).write_text((EXAMPLE / name).read_text())
    subprocess.run([*command, str(copy)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{ROOT}"}
    listed = [sys.executable, "-m", "audiossl", "list", "downstreams"]
    done = subprocess.run(listed, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert "frame_level" in done.stdout
