"""The Python that starts at once does what a process of its own does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.warm import python

PROGRAM = """
import json, os, sys, theirs
print(json.dumps([sys.argv[-2:], os.getcwd(), os.environ["HERE"], theirs.VALUE, __name__, sys.stdin.read()]))
print("wrong", file=sys.stderr)
sys.exit(7)
"""


@pytest.mark.parametrize("form", ["-c", "-m", "file"])
def test_it_is_as_the_one_that_starts_from_nothing(tmp_path: Path, form: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "theirs.py").write_text("VALUE = 3\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    words = {"-c": ["-c", PROGRAM], "-m": ["-m", "program"], "file": ["program.py"]}[form]
    environment = {"PATH": os.environ["PATH"], "HERE": "there", "PYTHONPATH": str(tmp_path / "site")}
    found = [
        subprocess.run(
            [which, *words, "one", "two words"],
            cwd=tmp_path,
            env=environment,
            input="given",
            capture_output=True,
            text=True,
            check=False,
        )
        for which in (python(), sys.executable)
    ]
    assert found[0].stdout == found[1].stdout, found[0].stderr
    assert json.loads(found[0].stdout) == [["one", "two words"], str(tmp_path), "there", 3, "__main__", "given"]
    assert [done.returncode for done in found] == [7, 7]
    assert [done.stderr for done in found] == ["wrong\n", "wrong\n"]


def test_what_fails_says_so_and_a_kill_is_an_error() -> None:
    failed = subprocess.run([python(), "-c", "1 / 0"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([python(), "-c", killed], check=False).returncode != 0


def test_a_command_changes_nothing_of_the_next_one() -> None:
    program = "import audiossl, os; print(getattr(audiossl, 'seen', None)); audiossl.seen = os.environ['A'] = '1'"
    for _ in range(2):
        done = subprocess.run([python(), "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "None\n"
