"""What an executor takes and gives."""

from __future__ import annotations

from pathlib import Path

from toys.units import unit

from audiossl.experiments.executors.contract import EXECUTORS, Outcome, Unit


def test_a_unit_calls_what_its_address_names() -> None:
    assert Unit("a", "math:hypot").target == "math:hypot"
    assert unit("square", "a", Path("/tmp"), number=3).arguments["number"] == 3
    assert Unit("b", "builtins:dict", {"x": 1}).run() == {"x": 1}


def test_an_outcome_is_a_value_or_an_error() -> None:
    assert Outcome("a", {"x": 1}) == Outcome("a", {"x": 1}, "", None, 1)


def test_executors_are_found_by_their_cards() -> None:
    assert {"serial", "pool"} <= set(EXECUTORS.names())
    assert all(EXECUTORS.card(name).summary for name in EXECUTORS.names())
