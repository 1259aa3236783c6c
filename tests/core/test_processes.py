"""Which of several processes this is: read from the environment, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from audiossl.core import processes


def test_one_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (processes.rank(), processes.world_size(), processes.local_rank()) == (0, 1, 0)
    assert processes.is_main()


def test_the_third_of_four_on_two_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "2"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    assert (processes.rank(), processes.world_size(), processes.local_rank()) == (2, 4, 0)
    assert not processes.is_main()  # the first of its machine, but not of all


def test_no_torch_is_needed() -> None:
    code = "import sys, audiossl.core.processes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
