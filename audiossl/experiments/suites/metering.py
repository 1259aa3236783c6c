"""What a computation takes: seconds, memory and, where the machine tells, energy."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

_RAPL = Path("/sys/class/powercap")  # counters of a processor's energy, in microjoules


@contextmanager
def named_times(times: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes to `times[name]`."""
    begin = time.monotonic()
    try:
        yield
    finally:
        times[name] = times.get(name, 0.0) + time.monotonic() - begin


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far. 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


class EnergyMeter:
    """Joules between entering and leaving a block: of the processors as Linux counts them (RAPL), and of NVIDIA GPUs.

    It counts all that the machine does meanwhile. `joules` is None where no counter can be read.
    """

    def __enter__(self) -> EnergyMeter:
        self._before = _counters()
        self.joules: float | None = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        now = _counters()
        moved = [now[name] - before for name, before in self._before.items() if now.get(name, -1.0) >= before]
        self.joules = sum(moved) if moved else None


def _counters() -> dict[str, float]:
    """Joules so far by counter, of those that may be read."""
    found: dict[str, float] = {}
    for file in sorted(_RAPL.glob("intel-rapl:?/energy_uj")):
        try:
            found[str(file)] = int(file.read_text(encoding="ascii")) / 1e6
        except (OSError, ValueError):
            continue  # most systems let only the administrator read it
    return found | _of_gpus()


def _of_gpus() -> dict[str, float]:
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return {
            f"gpu {index}": pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
            for index, handle in enumerate(handles)
        }
    except pynvml.NVMLError:
        return {}
