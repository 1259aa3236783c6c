"""Which jobs have left Slurm's queue, for clusters that keep no accounts.

submitit asks `sacct` how jobs are. Without accounts it never learns that a job was killed, and waits for ever.
"""

from __future__ import annotations

import getpass
import subprocess
import time
from collections.abc import Collection

EVERY_S = 30.0


class SlurmQueue:
    """What `squeue` says, asked not too often."""

    def __init__(self) -> None:
        self._asked = float("-inf")
        self._missing: set[str] = set()
        self._gone: set[str] = set()

    def gone(self, job_ids: Collection[str]) -> set[str]:
        """Those that were in the queue neither this time nor the last.

        Once may be the moment between two states. Where Slurm does not answer, nobody knows.
        """
        if time.monotonic() - self._asked < EVERY_S:
            return self._gone & set(job_ids)
        self._asked = time.monotonic()
        listed = _listed()
        if listed is not None:
            missing = set(job_ids) - listed
            self._gone, self._missing = missing & self._missing, missing
        return self._gone & set(job_ids)


def _listed() -> set[str] | None:
    """Jobs of this user that wait, run or end, as submitit calls them. None where Slurm does not answer."""
    command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%F_%K"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return {line.strip().removesuffix("_N/A") for line in found.stdout.splitlines()}
