"""Jobs that have left the queue, by what a made-up squeue says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiossl.experiments.executors.slurm import queue
from audiossl.experiments.executors.slurm.queue import SlurmQueue


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with what squeue prints."""
    command, file = tmp_path / "squeue", tmp_path / "listed"
    command.write_text(f"#!/bin/sh\ncat {file}\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(queue, "EVERY_S", 0.0)
    return file


def test_a_job_that_is_missing_twice_is_gone(listed: Path) -> None:
    asked = SlurmQueue()
    listed.write_text("7_0\n7_1\n8_N/A\n", encoding="utf-8")
    assert asked.gone(["7_0", "7_1", "8"]) == set()
    listed.write_text("7_1\n", encoding="utf-8")
    assert asked.gone(["7_0", "7_1", "8"]) == set()
    assert asked.gone(["7_0", "7_1", "8"]) == {"7_0", "8"}
    assert asked.gone(["7_0"]) == {"7_0"}


def test_one_that_comes_back_is_not(listed: Path) -> None:
    asked = SlurmQueue()
    for text, expected in (("", set()), ("9\n", set()), ("", set()), ("", {"9"})):
        listed.write_text(text, encoding="utf-8")
        assert asked.gone(["9"]) == expected


def test_where_slurm_does_not_answer_nobody_knows(listed: Path) -> None:
    asked = SlurmQueue()
    assert [asked.gone(["9"]) for _ in range(3)] == [set(), set(), set()]  # there is no file to print


def test_it_is_not_asked_at_every_look(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "EVERY_S", 1000.0)
    asked = SlurmQueue()
    listed.write_text("", encoding="utf-8")
    assert [asked.gone(["9"]) for _ in range(3)] == [set(), set(), set()]
