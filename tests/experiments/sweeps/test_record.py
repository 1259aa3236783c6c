"""What sweep.json says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.core.files import write_json
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord, read_sweep


def test_the_best_is_by_the_direction_of_the_metric_and_the_first_of_equals() -> None:
    entries = [
        MemberRecord(f"m{place}", {"seed": place // 2}, "finished", dev) for place, dev in enumerate([0.5, 0.7, 0.7])
    ]
    entries.append(MemberRecord("m3", {"seed": 1}, "failed", 0.9))
    record = SweepRecord("accuracy", "max", entries)
    assert record.best().name == "m1"  # type: ignore[union-attr]
    assert [entry.name for entry in record.chosen] == ["m1", "m2"]
    record = SweepRecord("loss", "min", entries)
    assert record.best().name == "m0"  # type: ignore[union-attr]
    assert record.best(seed=7) is None


def rates(dev: dict[float, float], **changes: str) -> SweepRecord:
    members = [MemberRecord(f"lr{rate}", {"lr": rate}, "finished", figure) for rate, figure in dev.items()]
    for member in members:
        member.state = changes.get(member.name.replace(".", "_"), "finished")  # type: ignore[assignment]
    return SweepRecord("accuracy", "max", members)


def test_of_equal_rates_the_smallest_is_taken_and_that_is_said() -> None:
    record = rates({0.1: 0.9, 0.01: 0.9, 0.001: 0.9, 0.0001: 0.5})
    assert record.best().name == "lr0.001"  # type: ignore[union-attr]
    assert record.notes == ["The rates 0.001 and 0.1, 0.01 are equal on dev: the smallest is taken."]
    record.members[1].state = "failed"
    assert record.notes == ["The rates 0.001 and 0.1 are equal on dev: the smallest is taken."]


@pytest.mark.parametrize(("best", "end"), [(0.1, "largest"), (0.001, "smallest")])
def test_a_rate_at_the_end_of_the_grid_is_said(best: float, end: str) -> None:
    record = rates({**dict.fromkeys((0.1, 0.01, 0.001), 0.5), best: 0.9})
    assert record.notes == [f"The chosen rate {best:g} is the {end} of those tried: a better one may lie beyond it."]


def test_nothing_is_said_of_a_rate_within_or_of_a_single_one() -> None:
    assert rates({0.1: 0.5, 0.01: 0.9, 0.001: 0.5}).notes == []
    assert rates({0.1: 0.5}).notes == []
    assert SweepRecord("accuracy", "max", [MemberRecord("s0", {"seed": 0}, "finished", 0.5)]).notes == []


def test_one_that_was_stopped_is_never_the_best() -> None:
    members = [
        MemberRecord("a", {"lr": 0.1}, "stopped", 0.9, 5),
        MemberRecord("b", {"lr": 0.01}, "finished", 0.5, 5),
        MemberRecord("c", {"lr": 0.001}, "failed"),
    ]
    record = SweepRecord("accuracy", "max", members)
    assert (record.best(), record.is_through) == (members[1], True)
    assert [member.name for member in record.ranked("failed", "finished", "stopped")] == ["a", "b", "c"]
    assert record.notes[-1].startswith("1 of 3 members were behind on dev and stopped early, by the budget")
    members[1].state = "training"
    assert (record.best(), record.is_through) == (None, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"members": [1]},
        {"members": "none"},
        {"mode": 3},
        {"members": [{"name": 1, "values": {}}]},
        {"metric": None},
    ],
)
def test_values_of_another_type_are_one_sentence(tmp_path: Path, changes: dict[str, Any]) -> None:
    whole = {"metric": "accuracy", "mode": "max", "members": [{"name": "a", "values": {"seed": 1}}]}
    write_json(tmp_path / "sweep.json", whole)
    assert read_sweep(tmp_path).members == [MemberRecord("a", {"seed": 1})]
    write_json(tmp_path / "sweep.json", {**whole, **changes})
    with pytest.raises(AudiosslError, match=r"sweep\.json cannot be read; train again with --overwrite"):
        read_sweep(tmp_path)
