"""What sweep.json says."""

from __future__ import annotations

from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord


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
