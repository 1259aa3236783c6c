"""Seconds, memory, and the counters of energy where there are some."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audiossl.experiments.suites import metering
from audiossl.experiments.suites.metering import EnergyMeter, named_times, peak_memory_bytes


def test_times_of_one_name_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(metering.time, "monotonic", lambda: next(clock))
    times: dict[str, float] = {}
    with named_times(times, "train_s"):
        pass
    with pytest.raises(ValueError, match="no"), named_times(times, "train_s"):
        raise ValueError("no")
    assert times == {"train_s": 2.5}


def test_peak_memory_is_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10_000_000 < peak_memory_bytes() < 1e12
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory_bytes() == 0


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the counters of two processors, in microjoules."""
    monkeypatch.setattr(metering, "_RAPL", tmp_path)
    monkeypatch.setitem(sys.modules, "pynvml", None)

    def write(*values: int) -> None:
        for number, value in enumerate(values):
            folder = tmp_path / f"intel-rapl:{number}"
            folder.mkdir(exist_ok=True)
            (folder / "energy_uj").write_text(f"{value}\n")

    return write


def test_joules_are_those_of_all_processors(counters: Any) -> None:
    counters(1_000_000, 5_000_000)
    with EnergyMeter() as meter:
        counters(3_500_000, 6_000_000)
    assert meter.joules == pytest.approx(3.5)


def test_a_counter_that_began_anew_does_not_count(counters: Any) -> None:
    counters(9_000_000, 5_000_000)
    with EnergyMeter() as meter:
        counters(1_000_000, 6_000_000)
    assert meter.joules == pytest.approx(1.0)


def test_no_counter_is_no_figure(counters: Any) -> None:
    with EnergyMeter() as meter:
        pass
    assert meter.joules is None


def test_gpus_count_in_millijoules(counters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    energy = iter([1000, 2000, 4000, 2500])
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(energy),
        NVMLError=OSError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    with EnergyMeter() as meter:
        pass
    assert meter.joules == pytest.approx(3.5)


def test_a_driver_that_does_not_answer_is_no_figure(counters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no driver")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=fail, NVMLError=OSError))
    with EnergyMeter() as meter:
        pass
    assert meter.joules is None
