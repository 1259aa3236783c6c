"""What an executor takes and gives. None of them knows what a unit computes.

A unit is small enough to be sent anywhere: the address of a function, and arguments that are plain data. What it
computes is written where the arguments say. An executor gives the outcome of each unit as soon as it is there, in any
order. A unit that ends without an outcome (its worker was killed, its node is gone) is given to another worker, up to
`retries` times. One that raises is not tried again: the same would happen. The others go on in both cases. One that a
signal has stopped (KeyboardInterrupt, or `Interrupted` of training) counts as killed, and ends a run in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from audiossl.core.registry import Registry, import_target

EXECUTORS = Registry("executor", "audiossl.experiments.executors", "audiossl.executors")


@dataclass(frozen=True)
class Unit:
    """Something to compute that needs nothing of the other units.

    name: of the unit, unlike all others.
    target: 'module:function', importable wherever it runs. It is called with `arguments` and returns plain data.
    arguments: by name, ready for JSON.
    expected_s: about how long it takes, in seconds. 0 where nobody knows.
    """

    name: str
    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    expected_s: float = 0.0

    def run(self) -> dict[str, Any]:
        """What its function returns."""
        found: dict[str, Any] = import_target(self.target)(**self.arguments)
        return found


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    unit: its name.
    value: what it returned. None where it failed.
    error: one sentence, '' where it did not fail.
    log: the file with all that it printed. Where it printed to this terminal, the traceback of what it raised, if any.
    attempts: how often it was given to a worker.
    """

    unit: str
    value: Mapping[str, Any] | None = None
    error: str = ""
    log: Path | None = None
    attempts: int = 1


Sink = Callable[[str], None]


class Executor(Protocol):
    """Runs units. Made by what its card names, with its own options.

    A plug-in's factory takes `(folder: Path, say: Callable[[str], None], **options)`: a folder for logs and whatever it
    has to keep, which all workers see, and what gets a line when there is something to say.
    """

    @property
    def width(self) -> int:
        """About how many units run at once: a pass over a corpus is given out in as many parts."""
        ...

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        """The outcome of every unit, as they end. Closing the iterator stops what still runs."""
        ...
