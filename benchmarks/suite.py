"""What sharing saves in a suite: `mini` with an encoder of base size, against the same cells one by one.

    AUDIOSSL_DATA=... python -m benchmarks.suite --write

The suite is run for real, in a process of its own with an empty cache, then again with nothing to do, then with a
second encoder. What the same cells take without sharing would be days: it is reckoned from the speed of encoding that
the run has measured, and from the sound that each training reads. Padding and heads are left out of it, in its favour.
A plain loop with transformers on one task is timed for some steps.

"Without sharing" is two things. A training by itself keeps the hidden states of what it reads, as `audiossl train` does
unless it is told otherwise, and then sharing between trainings can save no more than the sound that they read twice. A
loop without any cache encodes every batch of every epoch.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from audiossl import load_upstream
from audiossl.core.files import read_json
from audiossl.core.types import Batch
from audiossl.data.config import LoaderConfig
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.stream import StreamPlan
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.suites.results import CellResult, ResultsFolder
from benchmarks.common import hf_model, hf_prepared, parser, publish, sample_mask, table

STYLE = {"conv_norm": "layer", "conv_bias": True, "pre_norm": True, "normalize": "layer_norm", "layer_drop": 0.0}
ENCODER = "wav2vec2:random," + ",".join(f"{key}={str(value).lower()}" for key, value in STYLE.items())
PLAIN_TASK = "wakewords/keyword_spotting"


class Reading(NamedTuple):
    """Seconds of sound that the trainings of a cell read.

    once: of the rows of each training, each once.
    always: of all batches of all steps and evaluations.
    """

    once: float
    always: float


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--encoder", default=ENCODER, help="as `audiossl suite run --upstream` takes it")
    made.add_argument("--only", action="append", default=[], help="a task of the suite; may be repeated")
    made.add_argument("--steps", type=int, default=4, help="of the plain loop that are timed")
    arguments = made.parse_args()
    if arguments.data is None:
        sys.exit("error: name the folder of the corpora with --data or AUDIOSSL_DATA.")
    with tempfile.TemporaryDirectory() as scratch:
        publish(arguments, "What sharing saves in a suite", *_page(arguments, Path(scratch)))


def _page(arguments: Any, scratch: Path) -> list[str]:
    out, names = scratch / "results", [part for name in arguments.only for part in ("--only", name)]
    base = ["mini", "--data", str(arguments.data), "--out", str(out), *names]
    # Manifests are made, and how long heads take is known, as on any machine that has run the suite before.
    _suite(scratch, "run", *base, "--upstream", "log_mel", "--executor", "serial")
    first = ["--upstream", arguments.encoder]
    planned = json.loads(_suite(scratch, "plan", *base, *first, "--json"))
    before = _cpu_s()
    run_s, run_cpu_s = _seconds(scratch, "run", *base, *first, "--executor", "serial"), _cpu_s() - before
    again_s = _seconds(scratch, "run", *base, *first, "--executor", "serial")
    second_s = _seconds(scratch, "run", *base, *first, "--upstream", "fbank", "--executor", "serial")
    cells = [cell for cell in ResultsFolder(out).results() if cell.upstream == arguments.encoder]
    speed = read_json(next(path for path in (out / "encoders").glob("*.json") if "wav2vec2" in path.name))
    per_second = speed["seconds"] / speed["audio_s"]
    units = [cell for cell in cells if cell.fold or not cell.folds]
    readings = [_reading(ResultsFolder(out), cell) for cell in units]
    heads_s = sum(cell.cost.total_s for cell in units)
    once_s = heads_s + per_second * sum(each.once for each in readings)
    always_s = per_second * sum(each.always for each in readings)
    rows = [
        [f"the suite, as it ran ({run_cpu_s:.0f} s of processors)", f"{run_s:.0f}", "1.0"],
        ["one by one, each encoding what it reads once", f"{once_s:.0f}", f"{once_s / run_s:.1f}"],
        ["one by one, encoding every batch", f"{always_s:.0f}", f"{always_s / run_s:.0f}"],
    ]
    plain = next((cell for cell in units if cell.task == PLAIN_TASK), None)
    if plain is not None:
        step_s = _plain_step_s(ResultsFolder(out), plain, arguments.steps)
        steps = RunFolder(out / plain.run).config().trainer.steps
        mine = plain.cost.total_s + per_second * readings[units.index(plain)].once
        rows.append([f"{PLAIN_TASK} alone, with us, encoding included", f"{mine:.0f}", ""])
        rows.append(
            [f"{PLAIN_TASK} alone, plain loop, {steps} steps", f"{step_s * steps:.0f}", f"{step_s * steps / mine:.0f}"]
        )
    once, always = (sum(getattr(each, name) for each in readings) for name in Reading._fields)
    said = (
        f"{len(units)} trainings of {len({cell.task for cell in cells})} tasks. Encoding: "
        f"{speed['audio_s'] / 60:.0f} min of sound once, in {speed['seconds']:.0f} s; without sharing "
        f"{once / 60:.0f} min, and {always / 3600:.0f} h where every batch is encoded. Where each training keeps what "
        f"it has encoded, sharing between them saves {once / speed['audio_s']:.1f} times at most."
    )
    others = f"The same command again: {again_s:.1f} s. With fbank beside it, of which all was new: {second_s:.0f} s."
    return [
        said,
        table(["what", "seconds", "times"], rows),
        *_forecast(planned, speed["seconds"], heads_s, run_s),
        others,
    ]


def _forecast(planned: dict[str, Any], encode_s: float, heads_s: float, run_s: float) -> list[str]:
    """What was expected before, and what it took.

    planned: what `suite plan --json` said.
    encode_s, heads_s, run_s: seconds of encoding, of the trainings, and of the whole.
    """
    expected = [planned["encode_s"], planned["train_s"], planned["other_s"]]
    took = [encode_s, heads_s, run_s - encode_s - heads_s]
    rows = [
        [name, f"{before:.0f}", f"{after:.0f}", f"{before / after:.2f}"]
        for name, before, after in zip(("encoding", "heads", "all else"), expected, took, strict=True)
    ]
    rows.append(["together", f"{sum(expected):.0f}", f"{run_s:.0f}", f"{sum(expected) / run_s:.2f}"])
    return [
        "The forecast, by `audiossl suite plan` just before:",
        table(["seconds", "forecast", "took", "ratio"], rows),
    ]


def _cpu_s() -> float:
    """Seconds of processors of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _suite(scratch: Path, *words: str) -> str:
    environment = {**os.environ, "AUDIOSSL_CACHE": str(scratch / "cache"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "audiossl", "suite", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def _seconds(scratch: Path, *words: str) -> float:
    begin = time.perf_counter()
    _suite(scratch, *words)
    return time.perf_counter() - begin


def _reading(folder: ResultsFolder, cell: CellResult) -> Reading:
    config = RunFolder(folder.path / cell.run).config()
    rows = {split: list(read_manifest(config.data.path(split))) for split in ("train", "dev", "test")}
    seconds = {split: sum(cut.duration for cut in found) for split, found in rows.items()}
    batch_s = seconds["train"] / len(rows["train"]) * (config.data.batch_size or 1)
    evaluations = config.trainer.steps // (config.trainer.eval_every or config.trainer.steps)
    always = config.trainer.steps * batch_s + evaluations * seconds["dev"] + seconds["test"]
    return Reading(sum(seconds.values()), always)


def _plain_step_s(folder: ResultsFolder, cell: CellResult, steps: int) -> float:
    """Seconds of a step of a plain loop: hidden states of a padded batch by transformers, a weighted sum, a head."""
    config = RunFolder(folder.path / cell.run).config()
    rows = read_manifest(config.data.path("train"))
    with tempfile.TemporaryDirectory() as scratch:
        write_folder(load_upstream("wav2vec2", weights="random", **STYLE), Path(scratch))
        model = hf_model(Path(scratch), "sdpa")
        weights = nn.Parameter(torch.zeros(model.config.num_hidden_layers + 1))
        head = nn.Sequential(nn.Linear(model.config.hidden_size, 256), nn.Linear(256, 10))
        optimizer = torch.optim.Adam([weights, *head.parameters()])
        times = []
        for batch in _batches(rows, config.data, steps + 1):
            begin = time.perf_counter()
            wavs = hf_prepared(model, batch.wavs, batch.lengths)
            with torch.no_grad():
                states = model(wavs, attention_mask=sample_mask(wavs, batch.lengths), output_hidden_states=True)
            summed = torch.tensordot(weights.softmax(0), torch.stack(states.hidden_states), dims=1)
            loss = head(summed.mean(dim=1)).logsumexp(dim=-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            times.append(time.perf_counter() - begin)
    return sum(times[1:]) / steps


def _batches(rows: Any, data: LoaderConfig, num: int) -> Iterator[Batch]:
    plan = StreamPlan(data, sample_rate_hz=16000, train=True)
    for _, batch in zip(range(num), make_loader(rows, plan), strict=False):
        yield batch


if __name__ == "__main__":
    main()
