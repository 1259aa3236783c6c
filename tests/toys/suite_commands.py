"""`audiossl suite` on a toy suite in processes of its own, which can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.experiments.suites.results import CellResult
from toys.core import ROOT
from toys.suites import ToySuite

# Workers run this, too, but for its end: they are started from the same file.
DRIVER = """
import os
from pathlib import Path

from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.suites import definition, recipes, work

definition.RECIPES = recipes.RECIPES = Path(os.environ["TOY_RECIPES"])
UtteranceClassification.figures = lambda *_: {}  # pictures take most of the time
original = work._written


def written(folder, result):
    found = original(folder, result)
    with open(os.environ["TOY_COMPUTED"], "a") as file:
        file.write(result.title + "\\n")
    return found


work._written = written
if __name__ == "__main__":
    from audiossl.cli.main import main

    main()
"""


class SuiteCommands:
    """Commands on one suite and results folder, with a cache that no other one has.

    toy: the suite.
    name: of the results folder.
    """

    def __init__(self, toy: ToySuite, name: str) -> None:
        self.toy, self.folder, self.log = toy, toy.results(name), toy.path / f"{name}.log"
        self.computed_path = toy.path / f"{name}.computed"
        self.driver = toy.path / "driver.py"
        self.driver.write_text(DRIVER)
        self.environment = {
            **os.environ,
            "AUDIOSSL_CACHE": str(toy.path / f"{name}.cache"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "TOY_RECIPES": str(toy.recipes),
            "TOY_COMPUTED": str(self.computed_path),
            "COLUMNS": "200",
        }

    def start(self, upstreams: Sequence[str], *more: str) -> subprocess.Popen[bytes]:
        """`suite run` of the toy suite. What it prints is added to the log."""
        given = [part for name in upstreams for part in ("--upstream", name)]
        words = ["suite", "run", str(self.toy.file), "--data", str(self.toy.data), "--out", str(self.folder)]
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [sys.executable, str(self.driver), *words, *given, *more],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.toy.path,
            )

    def run(self, upstreams: Sequence[str], *more: str) -> str:
        """The log, after a command that must end well."""
        code = self.start(upstreams, *more).wait(1200)
        assert code == 0, self.log.read_text()[-4000:]
        return self.log.read_text()

    def results(self) -> dict[str, CellResult]:
        return {result.title: result for result in self.folder.results()}

    def figures(self) -> dict[str, Any]:
        """All that was found, by cell: to the last digit of every probability."""
        return {
            title: (result.key, result.metrics, result.dev, (self.folder.path / result.predictions).read_bytes())
            for title, result in self.results().items()
            if result.state == "finished"
        }

    @property
    def num_finished(self) -> int:
        return sum(result.state == "finished" for result in self.results().values())

    def computed(self) -> Counter[str]:
        """How often each cell was computed to its end."""
        return Counter(self.computed_path.read_text().splitlines() if self.computed_path.is_file() else [])


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes of the pool of a command."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, ValueError):  # it has ended meanwhile
            continue
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
