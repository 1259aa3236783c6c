"""Units as tasks of Ray: https://docs.ray.io. Ray itself tries a task again whose worker or node has gone."""

from __future__ import annotations

import importlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from audiossl.core.errors import ConfigError, first_line
from audiossl.core.ranges import NonNegative, Range
from audiossl.experiments.executors.attempts import UnitTurn, attempt, fresh_log, limit_threads, lost, num_begun
from audiossl.experiments.executors.contract import Outcome, Sink, Unit

_GRACE_S = 30.0
_PARTS = 4
_STORE_BYTES = 128 * 2**20  # of a Ray of our own: results are small, and the default is a third of the memory


class Ray:
    """A task for each unit, on whatever node has room for it."""

    @dataclass(frozen=True)
    class Config:
        address: str | None = None
        """Where a cluster runs, for instance 10.0.0.1:6379, or auto for the one that this machine is part of. Null
        starts a Ray on this machine, which ends with the run."""
        num_cpus: Annotated[float, Range(above=0)] = 1.0
        """Processors that Ray reckons with for a unit."""
        num_gpus: NonNegative = 0.0
        """GPUs of a unit. With 0.5 two units share one, and with 0 a unit sees none."""

    def __init__(self, folder: Path, say: Sink, config: Config | None = None) -> None:
        self.folder, self.say = folder, say
        self.config = config or self.Config()
        self.ray = _ray()

    @property
    def width(self) -> int:
        """Nobody knows before the cluster is asked, and its nodes may come and go."""
        return _PARTS

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        """The outcome of every unit, as they end.

        Closing the iterator asks those that still run to save and end, and ends them after half a minute if they have
        not.
        """
        waiting = [UnitTurn(unit, fresh_log(self.folder, unit)) for unit in units]
        with self._connected():
            task = self._task(retries)
            tasks: dict[Any, UnitTurn] = {}
            try:
                while waiting or tasks:
                    tasks |= {task.remote(turn.unit, turn.log, self._num_threads): turn for turn in waiting}
                    waiting = []
                    done, _ = self.ray.wait(list(tasks))
                    for reference in done:
                        turn = tasks.pop(reference)
                        if (outcome := self._outcome(reference, turn, retries)) is not None:
                            yield replace(outcome, attempts=num_begun(turn.log))
                        else:
                            self.say(f"{turn.unit.name}: it was stopped on its node, and is given to another.")
                            waiting.append(turn.again())
            finally:
                self._cancel(list(tasks))

    @property
    def _num_threads(self) -> int:
        return max(1, math.floor(self.config.num_cpus))

    def _task(self, retries: int) -> Any:
        options = {"num_cpus": self.config.num_cpus, "num_gpus": self.config.num_gpus, "max_retries": retries}
        return self.ray.remote(_compute).options(**options)

    def _outcome(self, reference: Any, turn: UnitTurn, retries: int) -> Outcome | None:
        """Of a task that is over. None for one that a signal has stopped, which Ray does not try again."""
        errors = self.ray.exceptions
        try:
            outcome: Outcome = self.ray.get(reference)
        except errors.TaskCancelledError:
            return turn.settled(None, retries)
        except errors.RayTaskError as error:  # not the unit, which catches what it raises: what is around it
            said = first_line(error.cause) if isinstance(error.cause, Exception) else first_line(error)
            return Outcome(turn.unit.name, error=f"{turn.unit.name} could not be computed: {said}")
        except errors.RayError:
            return lost(turn.unit, num_begun(turn.log), turn.log)
        return outcome

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Within, Ray is there. One that this process has already is used as it is."""
        if self.ray.is_initialized():
            yield
            return
        address = self.config.address
        own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if not address else {}
        if not address:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports to its makers
        try:
            self.ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"Ray does not answer at {address or 'this machine'}: {first_line(error)}; start one with `ray start "
                f"--head`, or leave out the option address to have one on this machine."
            ) from error
        try:
            self._check_room()
            yield
        finally:
            self.ray.shutdown()

    def _check_room(self) -> None:
        """Raises ConfigError where no node of our own will ever have room for a unit. A cluster may grow."""
        asked = {"CPU": self.config.num_cpus, "GPU": self.config.num_gpus}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if any(all(node.get(kind, 0) >= number for kind, number in asked.items()) for node in nodes):
            return
        sentence = f"No node of Ray has {asked['CPU']:g} processors and {asked['GPU']:g} GPUs, which a unit is to have"
        if not self.config.address:
            raise ConfigError(f"{sentence}; lower num_cpus or num_gpus.")
        self.say(f"{sentence}: all wait for one that has.")

    def _cancel(self, references: Sequence[Any]) -> None:
        if not references or not self.ray.is_initialized():
            return
        for force in (False, True):
            for reference in references:
                with suppress(self.ray.exceptions.RayError, ValueError):
                    self.ray.cancel(reference, force=force)
            _, references = self.ray.wait(list(references), num_returns=len(references), timeout=_GRACE_S)
            if not references:
                return


def _compute(unit: Unit, log: Path, threads: int) -> Outcome:
    """What a worker does."""
    limit_threads(threads)
    return attempt(unit, log)


def _ray() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError(
            "The executor ray needs the package ray, which is not installed; run `pip install audiossl-toolkit[ray]`."
        ) from error
