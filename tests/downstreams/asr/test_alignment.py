"""Alignment of a known text: times against those the sound was made with, TextGrid read by praatio, CTM, errors."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import soundfile
import torch
from lhotse import MonoCut
from toys.asr import RATE, spell

from audiossl.core.errors import LabelError
from audiossl.data.inputs import cuts_of
from audiossl.downstreams.asr.alignment import Alignment, align_text, write_ctm, write_textgrid
from audiossl.downstreams.asr.decoding import Span
from audiossl.downstreams.asr.task import Asr

TEXT = "abc ba cab"


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> MonoCut:
    path = tmp_path_factory.mktemp("sound") / "said.wav"
    soundfile.write(path, spell(TEXT)[0].numpy(), RATE, subtype="PCM_16")
    (made,) = cuts_of([str(path)])
    return made


def test_words_and_letters_are_where_they_are_said(recogniser: Asr, cut: MonoCut) -> None:
    alignment = align_text(recogniser, cut, TEXT)
    assert [word.text for word in alignment.words] == TEXT.split()
    assert [unit.text for unit in alignment.units] == [*TEXT.replace(" ", "")]
    for found, (word, begin, end) in zip(alignment.words, spell(TEXT)[1], strict=True):
        assert found.text == word
        assert begin - 0.03 <= found.start_s < found.end_s <= end + 0.05
        assert 0 < found.confidence <= 1
    times = [time for unit in alignment.units for time in (unit.start_s, unit.end_s)]
    assert times == sorted(times)
    assert list(alignment.tiers) == ["words", "characters"]


def test_the_path_is_the_most_probable_one(recogniser: Asr, cut: MonoCut) -> None:
    """Against all paths through two letters, on the first steps alone."""
    from audiossl.downstreams.asr.alignment import _most_probable

    with torch.no_grad():
        log_probs = torch.cat(list(recogniser.long_log_probs(cut)))[:6]
    best = max(
        (path for path in itertools.product((0, 2, 3), repeat=6) if _spelt(path) == [2, 3]),
        key=lambda path: sum(float(log_probs[step, number]) for step, number in enumerate(path)),
    )
    spans = _most_probable(log_probs, [2, 3], 1.0)
    assert [(span.unit + 1, span.first, span.last) for span in spans] == [
        (number, best.index(number), len(best) - best[::-1].index(number)) for number in (2, 3)
    ]


def _spelt(path: tuple[int, ...]) -> list[int]:
    return [number for number, _ in itertools.groupby(path) if number]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("abc xa", r"^The text has 'x' \(U\+0078\) in its transcript, which is outside the 4 units; write"),
        (" ", r"^The text has no word in its transcript ' '"),
        ("abc " * 40, r"^The text has 159 units, for which CTC needs 159 steps, and the recording \(0.82 s\) has 41;"),
    ],
)
def test_texts_that_cannot_be_aligned(text: str, named: str, recogniser: Asr, cut: MonoCut) -> None:
    with pytest.raises(LabelError, match=named):
        align_text(recogniser, cut, text)


def test_textgrid_is_what_praat_reads(tmp_path: Path) -> None:
    textgrid = pytest.importorskip("praatio.textgrid")
    words = [Span('say "a"', 0.1, 0.25, 0.9), Span("b", 0.25, 0.5, 0.8)]
    letters = [Span("é", 0.1, 0.2, 0.9), Span("b", 0.3, 0.5, 0.8)]
    write_textgrid(tmp_path / "x.TextGrid", Alignment(words, letters, 1.0, "characters"))
    read = textgrid.openTextgrid(str(tmp_path / "x.TextGrid"), includeEmptyIntervals=False)
    assert read.tierNames == ("words", "characters")
    assert (read.minTimestamp, read.maxTimestamp) == (0, 1.0)
    assert [tuple(entry) for entry in read.getTier("words").entries] == [(0.1, 0.25, 'say "a"'), (0.25, 0.5, "b")]
    assert [entry.label for entry in read.getTier("characters").entries] == ["é", "b"]
    full = textgrid.openTextgrid(str(tmp_path / "x.TextGrid"), includeEmptyIntervals=True)
    assert [entry.label for entry in full.getTier("words").entries] == ["", 'say "a"', "b", ""]


def test_ctm_has_a_word_a_line(tmp_path: Path) -> None:
    alignment = Alignment([Span("ab", 0.1, 0.25, 0.9), Span("b", 0.3, 0.5, 1.0)], [], 1.0, "characters")
    write_ctm(tmp_path / "x.ctm", "my talk", alignment)
    assert (tmp_path / "x.ctm").read_text() == "my_talk 1 0.100 0.150 ab 0.900\nmy_talk 1 0.300 0.200 b 1.000\n"


def test_phones_are_one_tier() -> None:
    alignment = Alignment([Span("AH", 0.0, 0.1, 1.0)], [Span("AH", 0.0, 0.1, 1.0)], 1.0, "phones")
    assert list(alignment.tiers) == ["phones"]
