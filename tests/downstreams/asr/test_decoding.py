"""From the best path to units, words and their times."""

from __future__ import annotations

import pytest
import torch
from toys.asr import RATE, encoder, spell, spoken_batch, toy_asr

from audiossl.downstreams.asr.decoding import Clock, merge
from audiossl.downstreams.asr.task import Asr


def test_words_are_where_they_are_said(recogniser: Asr) -> None:
    """A step of CTC may come up to a tone late; it never is in another word."""
    texts = ["ab ca", "bab b acc"]
    for row, text in zip(recogniser.predict(spoken_batch(texts=texts)), texts, strict=True):
        assert row["predicted"] == text
        for (word, start_s, end_s, confidence), (said, begin, end) in zip(row["words"], spell(text)[1], strict=True):
            assert word == said
            assert begin - 0.03 <= start_s < end_s <= end + 0.05
            assert 0 < confidence <= 1


def test_a_step_is_around_the_middle_of_what_its_frames_see() -> None:
    """Stride 160, receptive field 320: frame f has its middle at 160 f + 160 samples; two of them are a step."""
    clock = Clock.of(encoder(), 2, 1.0)
    assert clock.at(0) == pytest.approx((160 - 80) / RATE)
    assert clock.at(1) == pytest.approx((2 * 160 + 160 - 80) / RATE)
    assert clock.at(10**6) == 1.0


def test_best_path_merges_repetitions_and_drops_blanks() -> None:
    classes, probabilities = torch.tensor([0, 1, 1, 0, 1, 2, 3, 3, 0]), torch.arange(1, 10) / 10
    found = merge(classes, probabilities, num_units=2)  # class 3 is the end of the sentence
    assert [(each.unit, each.first, each.last) for each in found] == [(0, 1, 3), (0, 4, 5), (1, 5, 6)]
    assert [each.confidence for each in found] == pytest.approx([0.25, 0.5, 0.6])
    assert merge(torch.zeros(4, dtype=torch.int64), torch.ones(4), 2) == []


def test_nothing_recognised_is_an_empty_text() -> None:
    task = toy_asr().eval()
    with torch.no_grad():
        task.head.output.bias[0] = 50.0
    rows = task.predict(spoken_batch(3))
    assert all(row["predicted"] == "" and row["words"] == [] for row in rows)
    assert task.score(rows)["deletions"].value == task.score(rows)["wer"].value == 1.0
