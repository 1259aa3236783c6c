"""What every benchmark shares: interleaved timing, medians and ratios, the page that is written.

Contestants take turns (a, b, c, a, b, c, ...), so that a machine that slows down slows all of them; what is reported
is the median of each and the ratio of medians. Throughput depends on the machine: compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RESULTS = Path(__file__).parent / "results"


class Timing(NamedTuple):
    """Wall-clock seconds, and CPU seconds with those of child processes, of the rounds of one contestant."""

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def cpu(self) -> float:
        """Median CPU seconds: hardly longer on a machine that is busy with other things."""
        return statistics.median(self.cpu_seconds)


def interleaved(contestants: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1) -> dict[str, Timing]:
    """Time all contestants in turn, `rounds` times each, after `warmup` rounds that do not count."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for number in range(warmup + rounds):
        for name, action in contestants.items():
            start, cpu_start = time.perf_counter(), _cpu_seconds()
            action()
            if number >= warmup:
                measured[name].append((time.perf_counter() - start, _cpu_seconds() - cpu_start))
    return {name: Timing(*zip(*pairs, strict=True)) for name, pairs in measured.items()}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    folder = os.environ.get("AUDIOSSL_DATA")
    made.add_argument("--data", type=Path, default=Path(folder) if folder else None, help="folder of corpora")
    made.add_argument("--rounds", type=int, default=15)
    made.add_argument("--note", default="", help="what else the reader must know about the machine")
    made.add_argument("--write", action="store_true", help="write the page into benchmarks/results")
    return made


def environment(note: str = "") -> str:
    """Date, hardware in words and versions, as one line."""
    import torch

    facts = [
        datetime.now(UTC).strftime("%Y-%m-%d"),
        f"{_cpu_model()}, {os.cpu_count()} cores",
        f"{len(os.sched_getaffinity(0))} usable by the process",
        f"{torch.get_num_threads()} torch thread(s)",
        f"Python {platform.python_version()}",
        f"torch {torch.__version__}",
    ]
    return "; ".join([*facts, note] if note else facts) + "."


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def publish(arguments: argparse.Namespace, title: str, *parts: str) -> None:
    """Print the page, and write it if asked to."""
    name = Path(sys.argv[0]).stem
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *_without_data(sys.argv[1:])])
    head = [f"# {title}", f"Environment: {environment(arguments.note)}", f"Command: `{command}`"]
    page = "\n\n".join([*head, *parts]) + "\n"
    print(page)
    if arguments.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")


def make_sound(folder: Path, num_files: int, sample_rate_hz: int, seed: int = 0) -> list[Path]:
    """Synthetic recordings of 0.5 to 4 s as FLAC: gliding tones in noise."""
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(num_files):
        time_s = np.arange(int(rng.uniform(0.5, 4.0) * sample_rate_hz)) / sample_rate_hz
        phase = 2 * np.pi * (rng.uniform(100, 800) * time_s + rng.uniform(-80, 80) * time_s**2)
        sound = 0.3 * np.sin(phase) + 0.01 * rng.standard_normal(len(time_s))
        paths.append(folder / f"{number:04d}.flac")
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(paths[-1], sound.astype(np.float32), sample_rate_hz)
    return paths


def _without_data(words: Sequence[str]) -> list[str]:
    """What was typed, but for where the corpora lie on this machine."""
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if before != "--data" and word.split("=")[0] != "--data"]


def _cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
