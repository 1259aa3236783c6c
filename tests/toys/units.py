"""Units for executors. Each writes down that it was begun and that it was done, where its arguments say."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from audiossl.core.errors import ConfigError
from audiossl.core.files import write_json
from audiossl.core.terminal import Interrupted, on_signals
from audiossl.experiments.executors.contract import Unit


def squares(folder: Path, number: int, seconds: float = 0.0) -> list[Unit]:
    """Units that need so many seconds each."""
    return [unit("square", f"square {n}", folder, number=n, seconds=seconds) for n in range(number)]


def unit(function: str, name: str, folder: Path, **arguments: Any) -> Unit:
    return Unit(name, f"toys.units:{function}", {"folder": str(folder), "name": name, **arguments})


def square(folder: str, name: str, number: int, seconds: float = 0.0) -> dict[str, Any]:
    mark(folder, "begun", name)
    mark(folder, f"by {os.getppid()}", name)  # which node of several on this machine
    print(f"the square of {number}")
    time.sleep(seconds)
    write_json(Path(folder) / f"{name}.json", {"square": number * number})
    mark(folder, "done", name)
    return {"square": number * number}


def refuse(folder: str, name: str) -> dict[str, Any]:
    print("before the error")
    raise ConfigError("lr=-1 must be above 0.")


def stumble(folder: str, name: str) -> dict[str, Any]:
    print("before the error", file=sys.stderr)
    return {"none": 1 // 0}


def die(folder: str, name: str, times: int) -> dict[str, Any]:
    """The worker is killed in the first so many attempts."""
    mark(folder, "begun", name)
    print("about to be killed", flush=True)
    if marks(folder, "begun")[name] <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempt": marks(folder, "begun")[name]}


def interrupt(folder: str, name: str) -> dict[str, Any]:
    """As training that a signal has stopped, in the first attempt."""
    mark(folder, "begun", name)
    if marks(folder, "begun")[name] == 1:
        raise Interrupted("Stopped after step 5; it holds all that is needed to go on.")
    return {"attempt": 2}


def interrupt_a_library(folder: str, name: str) -> dict[str, Any]:
    """Ctrl-C in a library that fails as it puts things back."""
    try:
        raise KeyboardInterrupt
    finally:
        raise AttributeError("'NoneType' object has no attribute 'cache'")


def train(folder: str, name: str) -> dict[str, Any]:
    """As training without end, which saves when a signal comes. The second attempt finds that it is done."""
    mark(folder, "begun", name)
    if marks(folder, "begun")[name] > 1:
        return {"resumed": True}
    asked: list[bool] = []
    with on_signals(lambda: asked.append(True)):
        mark(folder, "pids", f"{os.getpid()}")
        while not asked:
            time.sleep(0.01)
    mark(folder, "saved", name)
    raise Interrupted("Stopped after step 7; it holds all that is needed to go on.")


def sleep(folder: str, name: str) -> dict[str, Any]:
    mark(folder, "pids", f"{os.getpid()}")
    time.sleep(600)
    return {}


def preempt(folder: str, name: str) -> dict[str, Any]:
    """What Slurm sends to a job before it takes its place away, in the first attempt."""
    mark(folder, "begun", name)
    if marks(folder, "begun")[name] == 1:
        print("preempted", flush=True)
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(600)
    return {"attempt": marks(folder, "begun")[name]}


def environment(folder: str, name: str) -> dict[str, Any]:
    torch = "torch" in sys.modules
    return {"threads": os.environ.get("OMP_NUM_THREADS"), "torch": torch, "pid": os.getpid()}


def tuples(folder: str, name: str) -> dict[str, Any]:
    return {"shape": (1, 2)}


def nothing(folder: str, name: str) -> None:
    return None


def unsendable(folder: str, name: str) -> dict[str, Any]:
    return {"path": Path(folder)}


def mark(folder: str | Path, what: str, name: str) -> None:
    """Write a line that other processes do not tear."""
    line = os.open(Path(folder) / f"{what}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(line, f"{name}\n".encode())
    os.close(line)


def marks(folder: str | Path, what: str) -> Counter[str]:
    """How often each name was marked."""
    path = Path(folder) / f"{what}.txt"
    return Counter(path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else [])


def until(true: Any, seconds: float = 60.0) -> None:
    """Wait for something to hold. A test that waits longer fails."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
