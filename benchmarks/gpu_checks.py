"""What must hold on a device: training ends, goes on and is evaluated, and a CPU finds the same."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet

from audiossl import load_upstream
from audiossl.cli.main import app
from audiossl.core.files import read_jsonl
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.config import EmbedOptions
from audiossl.encoders.devices import best_device
from audiossl.encoders.embedding import embed_rows
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.experiments.loading import load_run
from audiossl.training.config import TrainerConfig
from audiossl.training.context import accelerator_of
from audiossl.training.log import read_log
from benchmarks.gpu_forward import AS_IT_COMES, TINY
from benchmarks.gpu_training import device_setting
from benchmarks.session import Session

ROOT = Path(__file__).parents[1]
RECIPE = "recipes/quickstart/keyword_spotting.yaml"
FIRST_STEPS = 20
WAYS = {"frozen": (), "finetune=all": ("finetune=all", "trainer.lr=1e-4")}


def measure_checks(session: Session) -> None:
    """Checks through the command line, on the recordings that lie in the repository."""
    session.sections["How the checks were made"] = (
        "`audiossl train`, `evaluate`, `predict` and `embed` on `recipes/quickstart/corpus`, with `tera_mini`, in this "
        f"process on the device and by a process of its own on the CPU. Losses: the first {FIRST_STEPS} steps, the "
        "largest relative difference. A run that goes on: stopped after half of its steps, against one that was not."
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with session.part("Manifests of the quickstart corpus"):
            write_manifests(cuts_from_csv(ROOT / "recipes/quickstart/corpus/manifest.csv"), folder / "data")
            others = [on_a_cpu(folder, way) for way in WAYS]
        with session.part("device=auto"):
            check_devices(session)
        for number, way in enumerate(WAYS):
            with session.part(f"Losses on CPU and device, {way}"):
                check_losses(session, folder, way, others[number])
        with session.part("A run ends, goes on and is evaluated"):
            check_run(session, folder)
        with session.part("Predictions on CPU and device"):
            check_predictions(session, folder)
        with session.part("Hidden states on CPU and device"):
            check_embeddings(session, folder)


def check_devices(session: Session) -> None:
    picked = best_device()
    session.check("the best device is the one that is measured", str(picked), passed=picked.type == session.device.type)
    device = accelerator_of(TrainerConfig(device=device_setting(session))).device  # type: ignore[arg-type]
    session.check(f"trainer.device={device_setting(session)}", str(device), passed=device.type == session.device.type)


def words_of(folder: Path, out: str, way: str, steps: int, *more: str) -> list[str]:
    """`train RECIPE ... --out`, every step in the log, hidden states computed anew."""
    settings = [f"data.dir={folder / 'data'}", "data.num_workers=0", "features=off", "trainer.log_every=1", *WAYS[way]]
    settings += [f"trainer.steps={steps}", f"trainer.eval_every={steps}", *more]
    return ["train", str(ROOT / RECIPE), *settings, "--out", str(folder / out)]


def command(words: Sequence[str]) -> str:
    """An `audiossl` command in this process. What it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        app([str(word) for word in words], standalone_mode=False)
    return said.getvalue()


def on_a_cpu(folder: Path, way: str) -> subprocess.Popen[str]:
    """The first steps on a CPU, in a process of their own: a process trains on one kind of device."""
    words = words_of(folder, f"cpu_{way}", way, FIRST_STEPS, "trainer.device=cpu")
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "audiossl", *words],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses_of(run: Path) -> np.ndarray:
    return np.array([line["loss"] for line in read_log(run) if line["split"] == "train"])


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Relative, of losses step by step."""
    if len(ours) != len(theirs) or not len(ours):
        raise ValueError(f"{len(ours)} and {len(theirs)} losses cannot be compared")
    return float(np.max(np.abs(ours - theirs) / np.abs(theirs)))


def check_losses(session: Session, folder: Path, way: str, other: subprocess.Popen[str]) -> None:
    command(words_of(folder, f"device_{way}", way, FIRST_STEPS, f"trainer.device={device_setting(session)}"))
    _, said = other.communicate(timeout=120)
    if other.returncode:
        raise RuntimeError((said.strip().splitlines() or ["no word"])[-1])
    found = largest_difference(losses_of(folder / f"device_{way}"), losses_of(folder / f"cpu_{way}"))
    session.check(f"losses of {FIRST_STEPS} steps, {way}, CPU and device", found, most=1e-3)


def check_run(session: Session, folder: Path) -> None:
    steps = 20 if session.quick else 60
    # With a rate that depends on the number of all steps, half of them would be others.
    more = (f"trainer.device={device_setting(session)}", "trainer.schedule=constant")
    command(words_of(folder, "whole", "frozen", steps, *more))
    command(words_of(folder, "parts", "frozen", steps // 2, *more))
    command(["train", f"trainer.steps={steps}", "--resume", str(folder / "parts")])
    found = largest_difference(losses_of(folder / "parts"), losses_of(folder / "whole"))
    session.check(f"{steps} steps, and {steps // 2} that go on to {steps}: losses", found, most=1e-5)
    metrics = json.loads(command(["evaluate", str(folder / "whole"), "--json"]).strip().splitlines()[-1])
    accuracy = float(metrics["accuracy"]["value"])
    session.check("accuracy on the test split (ten digits)", f"{accuracy:.3f}", passed=accuracy > 0.2)
    session.check(
        "the evaluation wrote its metrics", "metrics.json", passed=(folder / "whole/test/metrics.json").is_file()
    )


def check_predictions(session: Session, folder: Path) -> None:
    manifest, out = folder / "data/test.jsonl.gz", folder / "predictions.jsonl"
    command(["predict", str(folder / "whole"), str(manifest), "--out", str(out)])
    ours: list[dict[str, Any]] = sorted(read_jsonl(out), key=lambda row: str(row["id"]))
    theirs = load_run(folder / "whole", device="cpu").predict(read_manifest(manifest))
    theirs = sorted(theirs, key=lambda row: str(row["id"]))
    same = sum(a["predicted"] == b["predicted"] for a, b in zip(ours, theirs, strict=True))
    session.check("predicted labels on CPU and device", f"{same} of {len(ours)} equal", passed=same == len(ours) > 0)
    differences = [np.abs(np.array(a["logits"]) - b["logits"]).max() for a, b in zip(ours, theirs, strict=True)]
    session.check("logits on CPU and device, largest difference", float(max(differences)), most=1e-3)


def check_embeddings(session: Session, folder: Path) -> None:
    cuts = read_manifest(folder / "data/test.jsonl.gz").subset(first=8).to_eager()
    cuts.to_file(folder / "few.jsonl.gz")
    write_folder(load_upstream("wav2vec2", weights="random", **(TINY if session.quick else {})), folder / "encoder")
    for name, most in (("tera_mini", 1e-4), (f"hf:{folder / 'encoder'}", AS_IT_COMES)):
        called = name if name == "tera_mini" else "wav2vec2 (random weights; TF32 as PyTorch comes)"
        found = embedding_difference(folder, name, cuts)
        session.check(f"embed {called} on CPU and device, relative L2", found, most=most)


def embedding_difference(folder: Path, name: str, cuts: CutSet) -> float:
    """`audiossl embed` wherever it runs by itself, against the CPU: the worst layer of the worst recording."""
    command(["embed", name, str(folder / "few.jsonl.gz"), "--out", str(folder / "device.npz")])
    embed_rows(load_upstream(name), cuts, folder / "cpu.npz", EmbedOptions(), device="cpu")
    ours, theirs = np.load(folder / "device.npz"), np.load(folder / "cpu.npz")
    arrays = [(ours[key], theirs[key]) for key in theirs.files]
    return max(
        float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))
        for mine, others in arrays
        if mine.dtype.kind == "f"
        for a, b in zip(mine.astype(float), others.astype(float), strict=True)
    )
