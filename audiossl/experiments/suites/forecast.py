"""What a plan will cost: seconds of encoding and of training, and room in the cache.

The encoder is tried on a few seconds of noise, and the rows that the cache lacks are counted. How long a head trains is
what it took the last times on this machine, whatever encoder it was on: heads are small, so that their number of steps
decides. For a task that was never computed here, a step is reckoned with a plain guess.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from audiossl.core.files import cache_folder, read_json, write_json
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.encoders.devices import best_device, place
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.suites.extraction import needs_by_rows, sources_of
from audiossl.experiments.suites.plan import Cell, Plan
from audiossl.experiments.suites.recipes import is_prepared
from audiossl.features.access import features_folder, gigabytes, joint_survey
from audiossl.features.store import bytes_below, free_bytes

_GUESS_START_S, _GUESS_STEP_S = 5.0, 0.01
_KEPT = 9  # of the last times
_TRIED_S = 4.0


@dataclass
class Forecast:
    """What computing a plan will take on this machine, one cell after another.

    encode_s: by encoder and corpus, seconds of encoding.
    train_s: by the title of a cell, seconds of training and evaluation.
    audio_s: seconds of sound that are to be encoded.
    cache_bytes: what the cache will take.
    guessed: titles of cells whose task was never computed here.
    unknown: tasks whose manifests are not there yet, so that their rows are those that the suite says.
    """

    encode_s: dict[tuple[str, str], float] = field(default_factory=dict)
    train_s: dict[str, float] = field(default_factory=dict)
    audio_s: float = 0.0
    cache_bytes: int = 0
    guessed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        return sum(self.encode_s.values()) + sum(self.train_s.values())

    def seconds(self, cell: Cell) -> float:
        """Of training and evaluating a cell. 0 for one that is there."""
        return self.train_s.get(cell.title, 0.0)

    def lines(self, plan: Plan) -> Iterator[str]:
        """The whole in sentences."""
        done = sum(cell.state in ("done", "elsewhere") for cell in plan.cells)
        yield f"{len(plan.cells)} cells, {done} of them there already, {len(plan.to_compute)} to compute."
        encode_s, train_s = sum(self.encode_s.values()), sum(self.train_s.values())
        yield (
            f"About {self.total_s / 60:.1f} minutes one after another: {encode_s / 60:.1f} to encode "
            f"{self.audio_s / 3600:.2f} h of sound once, {train_s / 60:.1f} for the heads. The cache will grow by "
            f"{gigabytes(self.cache_bytes)}."
        )
        if self.guessed:
            yield f"{len(self.guessed)} cells are of tasks that were never computed here: their time is a guess."
        if self.unknown:
            names = ", ".join(dict.fromkeys(self.unknown))
            yield (
                f"Not prepared yet, so that their size is what the suite says, and their share of the cache is not "
                f"counted: {names}."
            )

    def as_json(self, plan: Plan) -> dict[str, Any]:
        """For a program to read."""
        cells = [
            {
                "task": cell.task,
                "upstream": cell.encoder.choice.label,
                "seed": cell.seed,
                "key": cell.key,
                "state": cell.state,
                "why": cell.why,
                "seconds": self.seconds(cell),
            }
            for cell in plan.cells
        ]
        sums = {"encode_s": sum(self.encode_s.values()), "train_s": sum(self.train_s.values()), "audio_s": self.audio_s}
        return {"cells": cells, "left_out": plan.left_out, **sums, "cache_bytes": self.cache_bytes}


def forecast(plan: Plan) -> Forecast:
    """What the cells will cost that are to be computed. Each encoder is loaded and tried for some seconds."""
    found = Forecast()
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in plan.to_compute:
        label, corpus = cell.corpus
        groups.setdefault(label, {}).setdefault(corpus, []).append(cell)
    for label, corpora in groups.items():
        cells = [cell for members in corpora.values() for cell in members]
        begin = time.monotonic()
        upstream = load_upstream(cells[0].config.upstream, **cells[0].config.upstream_options)
        load_s, speed = time.monotonic() - begin, seconds_per_second(upstream)
        for cell in cells:
            seconds, is_guess = expected_training_s(cell.task, cell.config, load_s)
            found.train_s[cell.title] = _num_folds(cell) * seconds
            found.guessed += [cell.title] * is_guess
        for corpus, members in corpora.items():
            audio_s, num_bytes = _lacking(members, upstream, found)
            found.encode_s[label, corpus] = audio_s * speed
            found.audio_s, found.cache_bytes = found.audio_s + audio_s, found.cache_bytes + num_bytes
    return found


def is_short_of_disk(plan: Plan) -> bool:
    """Whether the cache will not take the hidden states of all encoders at once."""
    if len({cell.encoder.choice.label for cell in plan.to_compute}) < 2:
        return False
    cache = plan.to_compute[0].config.cache
    root = features_folder(cache)
    room = free_bytes(root) // 2 if cache.max_gb is None else cache.max_gb * 1e9 - bytes_below(root)
    # Frames of a base encoder take four gigabytes an hour. Looking closer takes time, where that is not close.
    hours = {cell.corpus: cell.definition.size.hours for cell in plan.to_compute}
    return sum(hours.values()) * 4e9 > room and forecast(plan).cache_bytes > room


def remember_speed(task: str, config: Experiment, seconds: float) -> None:
    """Take down what a run of a task took, of one fold where there are folds."""
    path = _speeds_path(task, config)
    before = read_json(path).get("times", []) if path.is_file() else []
    write_json(path, {"task": task, "times": [*before, [_steps(config), seconds]][-_KEPT:]})


def seconds_per_second(upstream: Upstream) -> float:
    """Seconds that an encoder takes for a second of sound, in recordings of some seconds one after another."""
    device = place(upstream, best_device())
    num_samples = round(_TRIED_S * upstream.sample_rate_hz)
    wavs = 0.05 * torch.randn(2, num_samples, generator=torch.Generator().manual_seed(0))
    lengths = torch.full((2,), num_samples)
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(4):
            begin = time.monotonic()
            features = upstream(wavs.to(device), lengths.to(device))
            features.layers[-1].sum().item()  # waits for a GPU
            times.append(time.monotonic() - begin)
    return min(times[1:]) / (2 * _TRIED_S)


def expected_training_s(task: str, config: Experiment, load_s: float = 0.0) -> tuple[float, bool]:
    """Seconds of training and evaluating an experiment, or one of its folds, and whether it is a guess.

    task: RECIPE/YAML.
    config: the experiment.
    load_s: seconds of loading the encoder, for a guess.
    """
    path, steps = _speeds_path(task, config), _steps(config)
    times = read_json(path)["times"] if path.is_file() else []
    if not times:
        return _GUESS_START_S + 2 * load_s + steps * _GUESS_STEP_S, True
    return float(median(_scaled(seconds, steps / before) for before, seconds in times)), False


def _scaled(seconds: float, ratio: float) -> float:
    """What took so long with that many times the steps. Loading does not grow with them."""
    start_s = min(_GUESS_START_S, seconds)
    return start_s + (seconds - start_s) * ratio


def _num_folds(cell: Cell) -> int:
    folds = cell.config.folds
    if not folds.by:
        return 1
    kind, argument = folds.parsed()
    if kind == "k":
        return int(argument)
    if not is_prepared(cell.config):
        return 5
    return max(1, len({read_field(cut, argument) for cut in read_manifest(cell.config.data.path("all"))}))


def _steps(config: Experiment) -> int:
    """Updates of all members together."""
    members = math.prod(len(values) for values in config.sweep.axes.values())
    return max(1, round(config.trainer.steps * (config.sweep.budget or members)))


def _speeds_path(task: str, config: Experiment) -> Path:
    what = [task, config.downstream, config.task, config.setting, config.data.batch_size, str(best_device().type)]
    name = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return cache_folder() / "suites" / "speeds" / f"{name}.json"


def _lacking(cells: list[Cell], upstream: Upstream, found: Forecast) -> tuple[float, int]:
    """Seconds of sound that the cache lacks for these cells, and the bytes that they will take."""
    there = [cell.config for cell in cells if is_prepared(cell.config)]
    unknown = [cell for cell in cells if not is_prepared(cell.config)]
    found.unknown += [cell.task for cell in unknown]
    audio_s, num_bytes = max((cell.definition.size.hours * 3600 for cell in unknown), default=0.0), 0
    for cuts, needs in needs_by_rows(there, upstream):
        with sources_of(needs, cuts, best_device()) as sources:
            if sources:
                survey = joint_survey([source.survey(cuts) for source in sources])
                audio_s, num_bytes = audio_s + survey.missing_s, num_bytes + survey.missing_bytes
    return audio_s, num_bytes
