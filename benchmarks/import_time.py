"""How long a process takes that imports audiossl, or that lists its names, against an empty one and one with torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks.common import interleaved, parser, publish, table

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    'python -c "import audiossl"': ["-c", "import audiossl"],
    "audiossl list": ["-m", "audiossl", "list"],
    'python -c "import torch"': ["-c", "import torch"],
    'python -c "from audiossl import load_upstream"': ["-c", "from audiossl import load_upstream"],
}


def main() -> None:
    arguments = parser(__doc__).parse_args()
    timings = interleaved({name: _runner(command) for name, command in COMMANDS.items()}, arguments.rounds)
    empty = timings["python -c pass"].cpu
    rows = []
    for name, timing in timings.items():
        low, high = timing.quartiles
        seconds = [f"{timing.median:.3f}", f"{low:.3f} to {high:.3f}", f"{min(timing.seconds):.3f}"]
        seconds += [f"{timing.cpu:.3f}", f"{timing.cpu - empty:.3f}"]
        rows.append([f"`{name}`", *seconds, "yes" if _imports_torch(COMMANDS[name]) else "no"])
    header = [
        "process",
        "median s",
        "quartiles s",
        "fastest s",
        "CPU s",
        "CPU s above an empty process",
        "imports torch",
    ]
    text = (
        f"Whole processes, {arguments.rounds} of each, taking turns, after one that does not count. "
        "CPU s is the median of user and system time; wall-clock time has also what others on the core took."
    )
    publish(arguments, "Import time", text, table(header, rows))


def _runner(command: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)


def _imports_torch(command: list[str]) -> bool:
    run = [sys.executable, "-X", "importtime", *command]
    log = subprocess.run(run, check=True, capture_output=True, text=True).stderr
    return any(line.rpartition("|")[2].strip() == "torch" for line in log.splitlines())


if __name__ == "__main__":
    main()
