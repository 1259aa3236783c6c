"""sweep.json while members are trained, and who stops at a rung."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiossl.core.errors import TrainingError
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.sweeps.record import MemberRecord, State, read_sweep
from audiossl.experiments.sweeps.writing import Member, SweepWriter
from audiossl.training.checkpoints import BestWeights
from audiossl.training.task import Monitor


class Head:
    monitor = Monitor("accuracy", "max")


def members_of(out: Path, states: dict[float, State]) -> list[Member]:
    """One for each learning rate."""
    head: Any = Head()
    return [
        Member(MemberRecord(f"lr{rate}", {"lr": rate}, state), Experiment(), RunFolder(out / f"lr{rate}"), head, False)
        for rate, state in states.items()
    ]


def test_those_behind_stop_and_of_equals_the_larger_rate(tmp_path: Path) -> None:
    members = members_of(tmp_path, {0.1: "training", 0.01: "training", 0.001: "training", 1.0: "training"})
    writer = SweepWriter(Experiment(), members, tmp_path, resume=False)
    found = [BestWeights(0.5, 4), BestWeights(0.7, 2), BestWeights(0.5, 6), None]
    behind = writer.compare(zip(members, found, strict=True), step=6, kept=2)
    assert [member.record.name for member in behind] == ["lr0.1", "lr1.0"]
    stored = read_sweep(tmp_path).members
    assert [member.state for member in stored] == ["stopped", "training", "training", "stopped"]
    assert [(member.dev, member.step) for member in stored] == [(0.5, 4), (0.7, 2), (0.5, 6), (None, None)]
    assert stored[0].why == "behind on dev at step 6"
    assert writer.compare(list(zip(members, found, strict=True))[1:3], step=6, kept=2) == []  # decided before


def test_one_that_is_finished_takes_a_place_and_cannot_be_stopped(tmp_path: Path) -> None:
    members = members_of(tmp_path, {0.1: "finished", 0.01: "training", 0.001: "training", 1.0: "failed"})
    members[0].record.dev = 0.6
    writer = SweepWriter(Experiment(), members, tmp_path, resume=False)
    found = [None, BestWeights(0.7, 2), BestWeights(0.5, 6)]
    behind = writer.compare(zip(members, found, strict=False), step=6, kept=2)
    assert [member.record.name for member in behind] == ["lr0.001"]
    members[0].record.dev = 0.1
    members[2].record.state = "training"
    assert writer.compare(zip(members, found, strict=False), step=8, kept=2) == []


def test_states_are_written_as_they_change_and_read_on_resuming(tmp_path: Path) -> None:
    members = members_of(tmp_path, {0.1: "waiting", 0.01: "waiting"})
    writer = SweepWriter(Experiment(), members, tmp_path, resume=False)
    writer.begin(*members)
    writer.fail(members[1], TrainingError("it is not finite"))
    assert [(member.state, member.why) for member in read_sweep(tmp_path).members] == [
        ("training", ""),
        ("failed", "it is not finite"),
    ]
    again = members_of(tmp_path, {0.1: "waiting", 0.01: "waiting", 0.001: "waiting"})
    SweepWriter(Experiment(), again, tmp_path, resume=True)
    assert [member.record.state for member in again] == ["training", "failed", "waiting"]
    assert RunFolder(tmp_path).kind == "sweep"
