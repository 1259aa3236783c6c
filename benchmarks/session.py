"""One measurement on one device: its clock, its memory, its checks, and the page that grows with every section."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.common import Timing, environment, interleaved, page_of, table


class Check(NamedTuple):
    """What was asserted, what was found, within which tolerance, and whether it held."""

    what: str
    found: str
    tolerance: str
    passed: bool


@dataclass
class Session:
    """device: where everything runs. out: folder of the page and the raw numbers. budget_s: wall time of the whole.

    quick: tiny sizes, for a try on a CPU. short: half precision alone, of transformers the fastest way alone, and fewer
    styles. command: what the page says was typed.
    """

    device: torch.device
    out: Path
    budget_s: float = 330.0
    quick: bool = False
    short: bool = False
    rounds: int = 10
    command: str = ""
    note: str = ""
    sections: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def late(self, share: float = 1.0) -> bool:
        """Whether more than that share of the budget is spent."""
        return self.elapsed_s > share * self.budget_s

    def say(self, text: str) -> None:
        print(f"[{self.elapsed_s:6.1f} s] {text}", flush=True)

    def check(self, what: str, found: float | str, *, most: float | None = None, passed: bool | None = None) -> None:
        """Note whether a number is at most `most`, or what was found where that is no number."""
        held = bool(passed) if most is None else float(found) <= most
        shown = found if isinstance(found, str) else f"{found:.2g}"
        self.checks.append(Check(what, shown, "" if most is None else f"{most:.0e}", held))
        self.say(f"{'pass' if held else 'FAIL'}: {what}: {shown}")

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """A failure in it is noted as a check that did not hold, and the rest goes on. The page is written after it."""
        self.say(f"begin: {title}")
        start = self.elapsed_s
        try:
            yield
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever failed on a machine that nobody sees
            self.check(f"{title} runs", sentence_of(error), passed=False)
        self.numbers.setdefault("seconds", {})[title] = round(self.elapsed_s - start, 1)
        self.free()
        self.write()

    def free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            with suppress(RuntimeError):  # of a card that an earlier error left unusable
                torch.cuda.empty_cache()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(
        self, contestants: Mapping[str, Callable[[], object]], rounds: int = 0, warmup: int = 3
    ) -> dict[str, Timing]:
        """Seconds of each, taking turns, from an idle device to an idle device."""

        def synced(action: Callable[[], object]) -> Callable[[], None]:
            def run() -> None:
                made = action()
                self.synchronize()
                del made

            return run

        self.synchronize()
        actions = {name: synced(action) for name, action in contestants.items()}
        return interleaved(actions, rounds or self.rounds, warmup=min(warmup, 1) if self.quick else warmup)

    def held(self) -> int:
        """Bytes of tensors that lie on the device."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else 0

    def peak_mib(self, action: Callable[[], object], above: int | None = None) -> float:
        """MiB of tensors that are on the device at the most while `action` runs, above what is held before it.

        above: bytes that are subtracted instead.
        """
        self.free()
        before = self.held() if above is None else above
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        action()
        self.synchronize()
        if self.device.type != "cuda":
            return float("nan")
        return (torch.cuda.max_memory_allocated(self.device) - before) / 2**20

    def write(self) -> Path:
        """The page and the raw numbers, as far as they are known."""
        parts = [self._summary(), *(f"## {title}\n\n{text}" for title, text in self.sections.items())]
        page = page_of("On a GPU", self._environment(), self.command, *parts)
        self.out.mkdir(parents=True, exist_ok=True)
        raw = {**self.numbers, "checks": [each._asdict() for each in self.checks], "elapsed_s": self.elapsed_s}
        (self.out / "gpu.json").write_text(json.dumps(raw, indent=1, default=str), encoding="utf-8")
        path = self.out / "gpu.md"
        path.write_text(page, encoding="utf-8")
        return path

    def _summary(self) -> str:
        failed = [each.what for each in self.checks if not each.passed]
        count = f"{len(self.checks) - len(failed)} of {len(self.checks)} checks passed"
        rows = [[e.what, e.found, e.tolerance, "pass" if e.passed else "FAIL"] for e in self.checks]
        text = f"{count}{'; not: ' + '; '.join(failed) if failed else ''}. {self.elapsed_s:.0f} s in all."
        return f"## Checks\n\n{text}\n\n{table(['check', 'found', 'at most', ''], rows)}"

    def _environment(self) -> str:
        facts = [self.note] if self.note else []
        if self.device.type == "cuda":
            facts += [torch.cuda.get_device_name(self.device), f"CUDA {torch.version.cuda}"]
            facts += [f"cuDNN {torch.backends.cudnn.version()}"]
        facts += [f"{name} {version(name)}" for name in ("transformers", "accelerate")]
        return environment("; ".join(facts))


def sentence_of(error: BaseException) -> str:
    """The kind and the first line of an error, fit for the cell of a table."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".replace("|", "/")[:300]


def spread(timing: Timing) -> str:
    """Median milliseconds, and the quartiles."""
    low, high = timing.quartiles
    return f"{1000 * timing.median:.1f} [{1000 * low:.1f}, {1000 * high:.1f}]"


def mib(number: float) -> str:
    return "" if number != number else f"{number:.0f}"
