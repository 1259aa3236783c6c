"""Units in several processes of this machine, by `concurrent.futures`.

Each worker is a pool of one process. A pool of several ends all of them when one is killed, and does not say which unit
that one had: so a unit that exhausts the memory would cost its neighbours their retries.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from audiossl.core.ranges import Count
from audiossl.experiments.executors.attempts import UnitTurn, attempt, fresh_log, limit_threads, num_cores
from audiossl.experiments.executors.contract import Outcome, Sink, Unit

_CORES_A_JOB = 4
_GRACE_S = 30.0
_CALLED_OFF = threading.Event()  # of this process, where it is a worker


class Pool:
    """Processes that are started once and compute unit after unit, in the order given. One that is killed is replaced.

    They share the processors. They end when this process ends, whichever way it does.
    """

    @dataclass(frozen=True)
    class Config:
        jobs: Count | None = None
        """How many units are computed at once. Null for one for every four processors, and at least two."""

    def __init__(self, folder: Path, say: Sink, config: Config | None = None) -> None:
        self.folder, self.say = folder, say
        self.config = config or self.Config()

    @property
    def width(self) -> int:
        """As many as there are workers."""
        return self.config.jobs or max(2, num_cores() // _CORES_A_JOB)

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        """The outcome of every unit, as they end.

        Closing the iterator asks those that still run to save and end, and ends them after half a minute if they have
        not.
        """
        jobs = min(self.width, len(units))
        waiting = deque(UnitTurn(unit, fresh_log(self.folder, unit)) for unit in units)
        crew = _Crew(jobs, threads=max(1, num_cores() // max(1, jobs)))
        try:
            crew.take(waiting)
            while crew.busy:
                outcomes = []
                for turn, outcome in crew.ended():
                    if (settled := turn.settled(outcome, retries)) is not None:
                        outcomes.append(settled)
                    else:
                        self.say(f"{turn.unit.name}: its worker ended without a result, and another one computes it.")
                        waiting.appendleft(turn.again())
                # The workers have their next units before anybody looks at what the last ones gave.
                crew.take(waiting)
                yield from outcomes
        finally:
            crew.stop()


class _Crew:
    """Workers, and what each of them has to do."""

    def __init__(self, size: int, threads: int) -> None:
        self.threads = threads
        self.idle = [_Worker(threads) for _ in range(size)]
        self.busy: dict[Future[Outcome], tuple[_Worker, UnitTurn]] = {}

    def take(self, waiting: deque[UnitTurn]) -> None:
        """Give the first of those that wait to the idle ones."""
        while waiting and self.idle:
            worker, turn = self.idle.pop(), waiting.popleft()
            try:
                future = worker.begin(turn)
            except BrokenProcessPool:  # killed while it had nothing to do, which costs the unit no retry
                worker.stop()
                worker = _Worker(self.threads)
                future = worker.begin(turn)
            self.busy[future] = worker, turn

    def ended(self) -> Iterator[tuple[UnitTurn, Outcome | None]]:
        """Wait for the next ones. None is for a worker that ended without an outcome, and has been replaced."""
        for future in wait(self.busy, return_when=FIRST_COMPLETED).done:
            worker, turn = self.busy.pop(future)
            error = future.exception()
            if error is not None:
                worker.stop()
                worker = _Worker(self.threads)
            self.idle.append(worker)
            yield turn, None if error is not None else future.result()

    def stop(self) -> None:
        """End all of them."""
        for worker, _ in self.busy.values():
            worker.call_off()
        for worker in (*self.idle, *(worker for worker, _ in self.busy.values())):
            worker.stop()


class _Worker:
    """One process that is started with its first unit.

    It holds one end of a pipe. Whatever comes through it calls the worker off, and so does the end of this process.
    """

    def __init__(self, threads: int) -> None:
        context = get_context("spawn")
        self._held, self._leash = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self._held, threads))

    def begin(self, turn: UnitTurn) -> Future[Outcome]:
        return self._pool.submit(_attempt, turn.unit, turn.log)

    def call_off(self) -> None:
        """Have it end before its unit does."""
        with suppress(OSError):  # it has ended already
            self._leash.send_bytes(b"stop")

    def stop(self) -> None:
        """Wait until it is gone: at once without a unit, and with one when that ends or was called off."""
        self._pool.shutdown(cancel_futures=True)
        self._leash.close()
        self._held.close()


def _begin(leash: Connection, threads: int) -> None:
    """The first thing that a worker does. Ctrl-C is for the process that started it, which calls it off."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_threads(threads)
    threading.Thread(target=_end_when_called_off, args=(leash,), daemon=True).start()


def _attempt(unit: Unit, log: Path) -> Outcome:
    try:
        return attempt(unit, log)
    finally:
        if _CALLED_OFF.is_set():  # nobody waits for what it gives
            os._exit(1)


def _end_when_called_off(leash: Connection) -> None:
    with suppress(EOFError, OSError):
        leash.recv_bytes()
    _CALLED_OFF.set()
    os.kill(os.getpid(), signal.SIGTERM)  # training saves what it has, and all else ends here
    time.sleep(_GRACE_S)
    os._exit(1)
