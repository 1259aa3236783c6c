"""Locks between processes: exclusive, shared, and given up at the end of their holder, however it ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import portalocker
import pytest
from toys.core import ROOT

from audiossl.core.locks import lock_file, try_lock_file

HOLDER = """
import sys
from audiossl.core.locks import lock_file
file = open(sys.argv[1], "a")
lock_file(file, shared=sys.argv[2] == "shared")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_a_lock_of_another_process_holds_until_that_is_killed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path), kind]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as holder, open(path, "a") as file:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not try_lock_file(file)
        assert try_lock_file(file, shared=True) == (kind == "shared")
        if kind == "shared":
            lock_file(file, shared=True)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        lock_file(file)


def test_closing_the_file_gives_the_lock_up(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with open(path, "a") as other:
        with open(path, "a") as file:
            assert try_lock_file(file)
            assert not try_lock_file(other)
        assert try_lock_file(other)


def test_a_disk_without_locks_is_not_taken_for_one_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, flags: object) -> None:
        raise portalocker.LockException("no") from OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(portalocker, "lock", no_locks)
    for take in (lock_file, try_lock_file):
        with open(tmp_path / ".lock", "a") as file, pytest.raises(OSError, match="No locks available"):
            take(file)
