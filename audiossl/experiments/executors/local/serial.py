"""Units one after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from audiossl.core.files import atomic_write
from audiossl.experiments.executors.attempts import fresh_log, run_unit
from audiossl.experiments.executors.contract import Outcome, Sink, Unit


class Serial:
    """This process computes. What a unit prints stays on this terminal, and the traceback of one that raised is a file.

    KeyboardInterrupt passes through.
    """

    @dataclass(frozen=True)
    class Config:
        pass

    def __init__(self, folder: Path, say: Sink, config: Config | None = None) -> None:
        self.folder, self.say = folder, say
        self.config = config or self.Config()

    @property
    def width(self) -> int:
        """One at a time."""
        return 1

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        """The outcome of every unit, in order. There is no worker to lose, so that nothing is tried again."""
        for unit in units:
            log = fresh_log(self.folder, unit)
            traces: list[str] = []
            outcome = run_unit(unit, traces.append)
            if traces:
                with atomic_write(log) as temporary:
                    temporary.write_text("".join(traces), encoding="utf-8")
                outcome = replace(outcome, log=log)
            yield outcome
