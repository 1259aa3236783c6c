"""Cards say what is known of a plug-in, and nothing that is there for tests alone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from audiossl.core.cards import Card, UpstreamCard


def test_json_has_what_was_said_and_neither_toys_nor_gaps() -> None:
    card = UpstreamCard("tiny", "package.model:Tiny", "A tiny one.", toy={"width": 4}, options={"width": 8})
    made = json.loads(json.dumps(card.as_json()))
    assert made["options"] == {"width": 8}
    assert "toy" not in made
    assert "paper" not in made  # nothing is known of it
    assert made["sample_rate_hz"] == 16000


def test_a_card_cannot_be_changed() -> None:
    card = Card("tiny", "package.model:Tiny")
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "other"  # type: ignore[misc]
