"""Transcripts as predictions, and their errors against jiwer's."""

from __future__ import annotations

from typing import Any

import jiwer
import pytest
import torch

from audiossl.core.errors import LabelError
from audiossl.data.text import TextConfig, TextUnits
from audiossl.downstreams.asr.decoding import Clock
from audiossl.downstreams.asr.transcripts import TranscriptJudge, transcription

UNITS = TextUnits(TextConfig(symbols=[" ", "a", "b"], case="lower"))
CLOCK = Clock(0.0, 0.1, 1.0)


def row(target: str | None, spelled: str) -> dict[str, Any]:
    classes = torch.tensor([1 + " ab".index(letter) for letter in spelled])
    facts = {"id": spelled, "target": target, "speaker": "s", "duration_s": 1.0}
    return transcription(UNITS, CLOCK, facts, classes, torch.ones(len(classes)))


def test_a_path_becomes_words_with_times_and_errors() -> None:
    made = row("ab b", "ab a")
    assert (made["predicted"], made["num_errors"], made["num_units"]) == ("ab a", 1, 2)
    assert made["words"] == [["ab", 0.0, 0.2, 1.0], ["a", 0.3, 0.4, 1.0]]
    assert "num_errors" not in row(None, "ab")


def test_rates_are_those_of_jiwer_and_facts_say_how_text_was_normalised() -> None:
    pairs = [("ab b", "ab a"), ("a", "b a"), ("b ab a", "b")]
    judge = TranscriptJudge(UNITS, {"method": "beam"})
    rows = [row(*pair) for pair in pairs]
    found = judge.score(rows)
    targets, guesses = ([row[key] for row in rows] for key in ("target", "predicted"))
    assert found["wer"].value == pytest.approx(jiwer.wer(targets, guesses))
    assert found["cer"].value == pytest.approx(jiwer.cer(targets, guesses))
    facts = judge.facts(rows)
    assert facts["normalization"] == {"case": "lower", "punctuation": "keep", "unicode": "NFC"}
    assert facts["decoding"] == {"method": "beam"}
    with pytest.raises(LabelError, match="None of the 1 predictions has a target"):
        judge.score([row(None, "a")])
