"""The executors of one machine have names."""

from __future__ import annotations

from audiossl.core.registry import import_target
from audiossl.experiments.executors.local.cards import CARDS


def test_each_name_stands_for_a_class_with_settings() -> None:
    assert [card.name for card in CARDS] == ["serial", "pool"]
    assert all(hasattr(import_target(card.target), "Config") for card in CARDS)
