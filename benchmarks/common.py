"""What benchmarks share: interleaved timing, medians and ratios, the page, and transformers on the same weights.

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
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor

RESULTS = Path(__file__).parent / "results"
RATE_HZ = 16000
LENGTHS_S = (16.0, 10.0, 7.0, 3.5)
LARGE_STYLE = {"conv_norm": "layer", "conv_bias": True, "pre_norm": True, "normalize": "layer_norm"}


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
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *without_paths(sys.argv[1:])])
    page = page_of(title, environment(arguments.note), command, *parts)
    print(page)
    if arguments.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(page, encoding="utf-8")


def page_of(title: str, where: str, command: str, *parts: str) -> str:
    """A page in Markdown. where: the environment."""
    head = [f"# {title}", f"Environment: {where}", f"Command: `{command}`"]
    return "\n\n".join([*head, *parts]) + "\n"


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


def hf_model(folder: Path, attention: str) -> Any:
    """What transformers makes of a folder, with the form of attention that is asked for where the model has it."""
    from transformers import AutoModel

    try:
        return AutoModel.from_pretrained(folder, attn_implementation=attention).eval()
    except ValueError:  # a model without that form
        return AutoModel.from_pretrained(folder).eval()


def hf_states(model: Any, wavs: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """All hidden states (B, T, D), the last one after the final norm in every version."""
    output = model(wavs, attention_mask=mask, output_hidden_states=True)
    return [*output.hidden_states[:-1], output.last_hidden_state]


def hf_prepared(model: Any, wavs: Tensor, lengths: Tensor) -> Tensor:
    """Zero mean and unit variance, as its feature extractor does where the stem has layer norms."""
    if getattr(model.config, "feat_extract_norm", "layer") == "group":
        return wavs
    rows = [torch.nn.functional.layer_norm(wav[:n], (int(n),), eps=1e-7) for wav, n in zip(wavs, lengths)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def sample_mask(wavs: Tensor, lengths: Tensor) -> Tensor:
    """(B, S), 1 for real samples: what transformers takes as attention mask."""
    return (torch.arange(wavs.shape[1], device=wavs.device) < lengths[:, None]).long()


def without_paths(words: Sequence[str]) -> list[str]:
    """What was typed, but for where corpora and results lie on this machine."""
    left_out = ("--data", "--out")
    pairs = zip(["", *words], words, strict=False)
    return [word for before, word in pairs if before not in left_out and word.split("=")[0] not in left_out]


def _cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
