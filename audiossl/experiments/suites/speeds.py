"""How fast this machine is: at encoding, at reading hidden states, and at the heads that it has trained before.

An encoder takes a + b T seconds for a recording of T seconds. The a matters: most recordings of words and calls last
less than a second, and there the weights are read from memory for a handful of frames. Both are measured on noise.

How long a head trains is what it took the last times. On another encoder the same head reads other hidden states, and
what that changes is reckoned from their bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import torch

from audiossl.core.files import cache_folder, read_json, write_json
from audiossl.core.tensors import fingerprint
from audiossl.core.types import Features
from audiossl.data.manifests import read_manifest
from audiossl.encoders.devices import best_device, place
from audiossl.encoders.kept import Identified
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import Experiment
from audiossl.features.config import Form
from audiossl.training.downstream import Downstream
from audiossl.training.interface import build_interface

START_S = 5.0
"""Of training and evaluating a head that does not grow with its steps: building, statistics, pictures."""
_STEP_S, _LEAST_S = 0.01, 1.0
_READ_S = 0.002  # of reading a recording and of writing its hidden states
_KEPT = 9  # of the last times
_TRIED_S = (0.5, 4.0)
_MOST_ROWS = 1000  # of which the mean length is taken


class EncoderSpeed(NamedTuple):
    """What an encoder takes here.

    load_s: seconds of loading it.
    mark_s: seconds of its fingerprint, by which it is known where it is loaded already.
    row_s: seconds for a recording, however short, reading included.
    second_s: seconds for each second of sound.
    """

    load_s: float
    mark_s: float
    row_s: float
    second_s: float

    def seconds(self, num_rows: float, audio_s: float) -> float:
        """Of encoding recordings that last so long together."""
        return num_rows * self.row_s + audio_s * self.second_s


def tried_encoder(name: str, options: dict[str, Any]) -> tuple[Identified, EncoderSpeed]:
    """An encoder, and how fast it is. Raises what `load_upstream` raises."""
    begin = time.monotonic()
    upstream = load_upstream(name, **options)
    loaded = time.monotonic()
    found = Identified(upstream, fingerprint(upstream))
    known = time.monotonic()
    row_s, second_s = encoding_speed(upstream)
    return found, EncoderSpeed(loaded - begin, known - loaded, row_s, second_s)


def encoding_speed(upstream: Upstream) -> tuple[float, float]:
    """Seconds that an encoder takes for a recording, and for each second of it.

    Recordings come one by one on a processor, and eight at a time on a GPU, as when the cache is filled.
    """
    device = place(upstream, best_device())
    size = 1 if device.type == "cpu" else 8
    short, long = (_seconds_of_batch(upstream, device, size, seconds) / size for seconds in _TRIED_S)
    second_s = max(0.0, (long - short) / (_TRIED_S[1] - _TRIED_S[0]))
    return max(0.0, short - _TRIED_S[0] * second_s) + _READ_S, second_s


def _seconds_of_batch(upstream: Upstream, device: torch.device, size: int, seconds: float) -> float:
    num_samples = round(seconds * upstream.sample_rate_hz)
    wavs = 0.05 * torch.randn(size, num_samples, generator=torch.Generator().manual_seed(0))
    moved, lengths = wavs.to(device), torch.full((size,), num_samples).to(device)

    def encode() -> None:
        with torch.inference_mode():
            upstream(moved, lengths).layers[-1].sum().item()  # waits for a GPU

    return _fastest(encode)


def reading_speed() -> float:
    """Seconds that a head takes for a byte of hidden states: standardised, summed over layers, and back."""
    widths, frames = (256,) * 8, 400
    interface = build_interface("weighted_sum", widths, {})
    stored = [torch.randn(4, frames, width).half() for width in widths]
    lengths = torch.full((4,), frames)

    def read() -> None:
        layers = tuple((layer.float() - 0.5) * 2.0 for layer in stored)
        interface(Features(layers, lengths)).mean().backward()

    return _fastest(read) / (2 * 4 * frames * sum(widths))


def _fastest(action: Callable[[], None]) -> float:
    """The least of three times, after one that does not count."""
    times = []
    for _ in range(4):
        begin = time.monotonic()
        action()
        times.append(time.monotonic() - begin)
    return min(times[1:])


def mean_seconds(config: Experiment) -> float:
    """How long the first rows of an experiment last. 0 without rows."""
    rows = read_manifest(next(iter(config.manifests.values())))
    return fmean([cut.duration for cut in islice(rows, _MOST_ROWS)] or [0.0])


def bytes_per_row(task: Downstream, form: Form, seconds: float) -> float:
    """Bytes of hidden states that a head reads of a recording. 0 where it runs the encoder itself.

    task: the head on its encoder.
    form: in which hidden states are kept.
    seconds: that a recording lasts.
    """
    upstream = task.upstream
    width = sum(upstream.widths[layer] for layer in task.interface.layers_read)
    frames = {
        "off": 0,
        "pooled": 1,
        "statistics": 2,
        "frames": max(1, upstream.num_frames(round(seconds * upstream.sample_rate_hz))),
    }
    return 2.0 * width * frames[form]


@dataclass(frozen=True)
class PastRun:
    """What a run of a task took, of one fold where there are folds.

    steps: updates of all members together.
    seconds: of training and evaluation.
    row_bytes: of hidden states that the head read of a recording.
    encoder: which one.
    """

    steps: int
    seconds: float
    row_bytes: float
    encoder: str

    def scaled(self, steps: int) -> float:
        """Seconds for another number of steps. What comes before the first does not grow with them."""
        start_s = min(START_S, self.seconds)
        return start_s + (self.seconds - start_s) * steps / self.steps


def remember_run(task: str, config: Experiment, seconds: float, row_bytes: float) -> None:
    """Take down what a run took.

    task: RECIPE/YAML.
    config: the experiment.
    seconds: of training and evaluation.
    row_bytes: `bytes_per_row` of its head.
    """
    path, run = _path(task, config), PastRun(num_steps(config), seconds, row_bytes, _encoder_of(config))
    write_json(path, {"task": task, "runs": [asdict(each) for each in (*past_runs(task, config), run)][-_KEPT:]})


def past_runs(task: str, config: Experiment) -> list[PastRun]:
    """Runs of a task with these settings, whatever encoder and number of steps they had."""
    path = _path(task, config)
    return [PastRun(**each) for each in read_json(path).get("runs", [])] if path.is_file() else []


def num_steps(config: Experiment) -> int:
    """Updates of all members together."""
    return max(1, round(config.trainer.steps * (config.sweep.budget or config.sweep.num_members)))


def rows_read(config: Experiment, num_rows: float, mean_s: float, num_folds: int = 1) -> float:
    """Recordings that a run, or one of its folds, reads: in each step, in each evaluation and for statistics.

    config: the experiment.
    num_rows: of all splits together.
    mean_s: how long one lasts.
    num_folds: 1 for none, where dev and test are taken for a seventh of the rows each.
    """
    data, trainer, steps = config.data, config.trainer, num_steps(config)
    batch = min(data.batch_size or math.inf, (data.max_duration_s or math.inf) / max(mean_s, 1e-3), num_rows)
    held_out = num_rows / (num_folds if num_folds > 1 else 7)
    evaluations = steps // (trainer.eval_every or trainer.steps) + 1  # the last on test
    return steps * batch + evaluations * held_out + num_rows - 2 * held_out


class Reading(NamedTuple):
    """What a head costs because of the encoder that it is on.

    num_rows: recordings that it reads, each as often as it does.
    row_bytes: of hidden states of one of them.
    byte_s: seconds for a byte.
    encode_s: seconds of running the encoder on one of them, where nothing is kept.
    mark_s: seconds until the encoder is there, in training and in evaluation.
    """

    num_rows: float = 0.0
    row_bytes: float = 0.0
    byte_s: float = 0.0
    encode_s: float = 0.0
    mark_s: float = 0.0

    def seconds(self, row_bytes: float = 0.0) -> float:
        """More than where the head read so many bytes of a recording, on an encoder that is there at once."""
        return 2 * self.mark_s + self.num_rows * (self.encode_s + (self.row_bytes - row_bytes) * self.byte_s)


def expected_seconds(task: str, config: Experiment, reading: Reading | None = None) -> tuple[float, bool]:
    """Seconds of training and evaluating an experiment, or one of its folds, and whether it is a guess.

    task: RECIPE/YAML.
    config: the experiment.
    reading: what its encoder makes of it. None to leave that out.
    """
    runs, steps, reading = past_runs(task, config), num_steps(config), reading or Reading()
    if own := [run.scaled(steps) for run in runs if run.encoder == _encoder_of(config)]:
        return median(own), False
    if not runs or reading.encode_s:
        return START_S + steps * _STEP_S + reading.seconds(), True
    others = [max(_LEAST_S, run.scaled(steps) + reading.seconds(run.row_bytes)) for run in runs]
    return median(others), False


def _encoder_of(config: Experiment) -> str:
    return json.dumps([config.upstream, dict(config.upstream_options)], sort_keys=True, default=str)


def _path(task: str, config: Experiment) -> Path:
    what = [task, config.downstream, config.task, config.setting, config.data.batch_size, str(best_device().type), 2]
    name = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return cache_folder() / "suites" / "speeds" / f"{name}.json"
