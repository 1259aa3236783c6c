"""One attempt at a unit: what it printed, what it gave or what it raised. The same in a worker of any executor.

This module and what it imports load no torch, so that a worker can say how many threads there may be before it does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError, first_line, os_error_sentence
from audiossl.core.files import unwritable
from audiossl.core.terminal import Interrupted
from audiossl.experiments.executors.contract import Outcome, Unit

_BEGUN = "== begun by process"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class UnitTurn:
    """A unit that a worker is given, where it prints, and which attempt at it this is."""

    unit: Unit
    log: Path
    number: int = 1

    def again(self) -> UnitTurn:
        """The next attempt."""
        return replace(self, number=self.number + 1)

    def settled(self, outcome: Outcome | None, retries: int) -> Outcome | None:
        """What became of the unit. None where its worker was lost and it is to be tried again.

        outcome: of this attempt. None where the worker ended without one.
        """
        if outcome is not None:
            return replace(outcome, attempts=self.number)
        return None if self.number <= retries else lost(self.unit, self.number, self.log)


def run_unit(unit: Unit, note: Callable[[str], object]) -> Outcome:
    """Its outcome, without a log. What a signal has stopped ends in KeyboardInterrupt, which passes through.

    note: gets the traceback of what the unit raised.
    """
    try:
        return Outcome(unit.name, _plain(unit))
    except Interrupted as stop:
        raise KeyboardInterrupt(str(stop)) from stop
    except Exception as error:
        if _covers_an_interruption(error):
            raise KeyboardInterrupt from error
        note(traceback.format_exc())
        return Outcome(unit.name, error=_sentence(unit, error))


def attempt(unit: Unit, log: Path) -> Outcome:
    """Run a unit in a worker. All that it prints is in its log, and the traceback of what it raises."""
    try:
        with output_to(log):
            print(f"{_BEGUN} {os.getpid()} on {socket.gethostname()} at {time.strftime('%Y-%m-%d %H:%M:%S')} ==")
            outcome = run_unit(unit, sys.stderr.write)
    except OSError as error:  # of the log: those of the unit are in its outcome
        return Outcome(unit.name, error=str(unwritable(log, error)))
    return Outcome(outcome.unit, outcome.value, outcome.error, log)


def lost(unit: Unit, attempts: int, log: Path) -> Outcome:
    """The outcome of a unit whose workers ended without one."""
    times = "its worker" if attempts == 1 else f"all {attempts} of its workers"
    error = (
        f"{unit.name}: {times} ended without a result (killed, out of memory, or the machine is gone); see {log}, then "
        f"run the same command again."
    )
    return Outcome(unit.name, error=error, log=log if log.is_file() else None, attempts=attempts)


def fresh_log(folder: Path, unit: Unit) -> Path:
    """Where the log of a unit is to be written. That of an earlier run is removed."""
    log = log_of(folder, unit.name)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(log, error) from error
    return log


def log_of(folder: Path, name: str) -> Path:
    """The log of the unit of that name. What no file system takes in a name is left out, with a checksum instead.

    >>> log_of(Path("a"), "mini-tera_mini-0").as_posix(), log_of(Path("a"), "fsdd/lr 0.1").as_posix()
    ('a/logs/mini-tera_mini-0.log', 'a/logs/fsdd_lr_0.1-bba9fd31.log')
    """
    plain = re.sub(r"[^A-Za-z0-9_.=,+-]+", "_", name)[:100]
    if plain != name:
        plain = f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return folder / "logs" / f"{plain}.log"


def num_begun(log: Path) -> int:
    """How many attempts have written to a log. At least 1."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 1
    return max(1, sum(line.startswith(_BEGUN) for line in lines))


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """All that this process and those it starts print goes to the end of a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    _flush()
    with open(log, "a", encoding="utf-8", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        kept = [(stream, os.dup(stream)) for stream in (1, 2)]  # what libraries and other processes print to
        try:
            for stream, _ in kept:
                os.dup2(file.fileno(), stream)
            yield
        finally:
            for stream, before in kept:
                os.dup2(before, stream)
                os.close(before)


def limit_threads(num: int) -> None:
    """Let libraries for arithmetic have that many threads in this process, or fewer where the environment says so."""
    for name in _THREADS:
        given = os.environ.get(name, "")
        os.environ[name] = str(min(num, int(given)) if given.isdecimal() and int(given) else num)
    # Whoever has loaded torch already has read the environment as it was.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ[_THREADS[0]]))


def num_cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _plain(unit: Unit) -> dict[str, Any]:
    """What the unit returns, as it would come back from another machine. Raises TypeError for what is no plain data."""
    value = unit.run()
    if not isinstance(value, dict):
        raise TypeError(f"{unit.target} must return a dict, and returned {type(value).__name__}")
    back: dict[str, Any] = json.loads(json.dumps(value))
    return back


def _covers_an_interruption(error: BaseException) -> bool:
    """Whether a library that Ctrl-C stopped half-way raised this while it put things back."""
    context = error.__context__
    return context is not None and (isinstance(context, KeyboardInterrupt) or _covers_an_interruption(context))


def _sentence(unit: Unit, error: Exception) -> str:
    if isinstance(error, AudiosslError):
        return str(error)
    said = os_error_sentence(error) if isinstance(error, OSError) else f"{type(error).__name__}: {first_line(error)}"
    return f"{unit.name} failed: {said}"


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
