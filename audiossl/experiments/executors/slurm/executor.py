"""Units as jobs of Slurm, through submitit: https://github.com/facebookincubator/submitit.

A unit means "resume this folder". So one that is preempted, or reaches its time limit, is queued again as it is.
"""

from __future__ import annotations

import importlib
import logging
import math
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from audiossl.core.errors import ConfigError, first_line
from audiossl.core.ranges import Count, CountOrZero, Positive
from audiossl.core.terminal import Interrupted
from audiossl.experiments.executors.attempts import UnitTurn, attempt, fresh_log, limit_threads, num_begun
from audiossl.experiments.executors.contract import Outcome, Sink, Unit
from audiossl.experiments.executors.slurm.queue import SlurmQueue

_MOST_IN_ARRAY = 1000  # Slurm's MaxArraySize is 1001 where nobody has changed it
_MOST_TIMEOUTS = 10
_MOST_PARTS = 16
_LEAST_MIN = 60
_GRACE_S = 600.0


class Slurm:
    """One job array for all units, and one more for those whose job was lost."""

    @dataclass(frozen=True)
    class Config:
        partition: str | None = None
        """Partition that the jobs go to. Null for the cluster's default."""
        time_min: Count | None = None
        """Time limit of a job in minutes. One that reaches it is queued again and goes on, up to ten times. Null for
        four times what the longest unit is expected to take, and at least an hour."""
        gpus: CountOrZero = 0
        """GPUs of a job."""
        cpus: Count = 4
        """Processors of a job."""
        mem_gb: Positive = 16.0
        """Memory of a job in GB."""
        array_parallelism: Count = 256
        """How many jobs of an array run at once."""
        sbatch: dict[str, str] = field(default_factory=dict)
        """Other options of sbatch by their long names, for instance account and qos."""
        cluster: Literal["slurm", "local", "debug"] = "slurm"
        """What submitit gives the jobs to. 'local' starts a process for each on this machine, all at once, and 'debug'
        computes in this process: both are for trying out."""

    def __init__(self, folder: Path, say: Sink, config: Config | None = None) -> None:
        self.folder, self.say = folder, say
        self.config = config or self.Config()
        self.submitit = _submitit()
        if self.config.cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise ConfigError(
                "The executor slurm needs the command sbatch, which this machine does not have; run this on a login "
                "node of the cluster, or choose --executor pool."
            )

    @property
    def width(self) -> int:
        """As many as may be in the queue at once, and no more than a corpus has reasonable parts."""
        return min(self.config.array_parallelism, _MOST_PARTS)

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        """The outcome of every unit, as they end. Closing the iterator cancels the jobs that are left."""
        jobs: dict[str, tuple[Any, UnitTurn]] = {}
        queue, waiting = SlurmQueue(), [UnitTurn(unit, fresh_log(self.folder, unit)) for unit in units]
        minutes = self.config.time_min or _minutes(units)
        try:
            while waiting or jobs:
                for job, turn in self._submitted(waiting, minutes):
                    jobs[job.job_id] = job, turn
                waiting = []
                ended = self._ended(jobs, queue)
                for job_id, outcome in ended.items():
                    _, turn = jobs.pop(job_id)
                    settled = turn.settled(outcome, retries)
                    if settled is None:
                        self.say(f"{turn.unit.name}: its job {job_id} ended without a result, and is submitted again.")
                        waiting.append(turn.again())
                    else:
                        # Slurm may have begun it more often, without asking.
                        yield replace(settled, attempts=max(settled.attempts, num_begun(turn.log)))
                if not ended:
                    time.sleep(self._pause_s(len(jobs)))
        finally:
            self._cancel([job for job, _ in jobs.values()])

    def _submitted(self, turns: Sequence[UnitTurn], minutes: int) -> Iterator[tuple[Any, UnitTurn]]:
        """Job arrays of all turns. Raises ConfigError for what the cluster does not take."""
        config = self.config
        logging.getLogger("submitit").setLevel(logging.ERROR)  # it says at every look that there are no accounts
        executor = self.submitit.AutoExecutor(
            self.folder / "slurm", cluster=config.cluster, slurm_max_num_timeout=_MOST_TIMEOUTS
        )
        executor.update_parameters(
            name="audiossl",
            timeout_min=minutes,
            cpus_per_task=config.cpus,
            mem_gb=config.mem_gb,
            gpus_per_node=config.gpus or None,
            slurm_partition=config.partition,
            slurm_array_parallelism=config.array_parallelism,
            slurm_additional_parameters=dict(config.sbatch) or None,
        )
        task = _Task(config.cpus, _GRACE_S if config.cluster == "slurm" else 0.0)
        for start in range(0, len(turns), _MOST_IN_ARRAY):
            part = turns[start : start + _MOST_IN_ARRAY]
            try:
                jobs = executor.map_array(task, [turn.unit for turn in part], [turn.log for turn in part])
            except (self.submitit.core.utils.FailedJobError, self.submitit.core.utils.FailedSubmissionError) as error:
                raise ConfigError(
                    f"Slurm did not take the jobs: {first_line(error)}; mend it with --executor-option, for instance "
                    f"partition=NAME."
                ) from error
            self.say(f"Submitted to {config.cluster}: {len(jobs)} job(s), from {jobs[0].job_id} on.")
            yield from zip(jobs, part, strict=True)

    def _ended(self, jobs: Mapping[str, tuple[Any, UnitTurn]], queue: SlurmQueue) -> dict[str, Outcome | None]:
        """What has ended, by the job. None for a job that is over and has no outcome."""
        ended = {job_id: _outcome(job, turn) for job_id, (job, turn) in jobs.items() if job.done()}
        if self.config.cluster == "slurm":
            unknown = [job_id for job_id in jobs if job_id not in ended and jobs[job_id][0].state == "UNKNOWN"]
            ended |= dict.fromkeys(queue.gone(unknown)) if unknown else {}
        return ended

    def _pause_s(self, num_jobs: int) -> float:
        """Each look asks the file system about every job."""
        return max(1.0, num_jobs / 100) if self.config.cluster == "slurm" else 0.1

    def _cancel(self, jobs: Sequence[Any]) -> None:
        if jobs and self.config.cluster == "slurm":
            subprocess.run(["scancel", *(job.job_id for job in jobs)], check=False)
        else:
            for job in jobs:
                job.cancel(check=False)


@dataclass(frozen=True)
class _Task:
    """What a job calls. submitit finds `checkpoint` by its name, and queues again what that gives."""

    threads: int
    grace_s: float

    def __call__(self, unit: Unit, log: Path) -> Outcome:
        limit_threads(self.threads)
        try:
            return attempt(unit, log)
        except KeyboardInterrupt as stop:
            # Training has saved, at SIGTERM. A job that is preempted now waits to be queued again, and one that is
            # cancelled to be killed. Were it over already, Slurm would call it done.
            if isinstance(stop.__cause__, Interrupted):
                time.sleep(self.grace_s)
            raise

    def checkpoint(self, unit: Unit, log: Path) -> Any:
        return _submitit().helpers.DelayedSubmission(self, unit, log)


def _submitit() -> ModuleType:
    try:
        importlib.import_module("submitit.core.utils")
        return importlib.import_module("submitit")
    except ImportError as error:
        raise ConfigError(
            "The executor slurm needs the package submitit, which is not installed; run `pip install "
            "audiossl-toolkit[slurm]`."
        ) from error


def _minutes(units: Sequence[Unit]) -> int:
    longest_s = max((unit.expected_s for unit in units), default=0.0)
    return max(_LEAST_MIN, math.ceil(4 * longest_s / 60))


def _outcome(job: Any, turn: UnitTurn) -> Outcome | None:
    """Of a job that is over. None where it has written none."""
    error = job.exception()
    if error is None:
        outcome: Outcome = job.result()
        return outcome
    if type(error).__name__ != "FailedJobError":
        return None
    # Not the unit, which catches what it raises: what is around it, such as a package that the node does not have.
    lines = [line for line in str(error).splitlines() if line and not line.startswith(("-", "  -", "You can"))]
    return Outcome(turn.unit.name, error=f"{turn.unit.name} could not be computed: {lines[-1]}", log=job.paths.stderr)
