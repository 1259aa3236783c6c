"""Text units: normalisation, symbols, sentencepiece that travels in the configuration, lexicons, words from symbols."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError
from audiossl.data.text import TextConfig, TextError, TextUnits, fit_units, normalize, read_lexicon

TEXTS = ["Hello world, hello?", "the hat is a hat", "don't stop - the world"]


def units_of(texts: list[str] = TEXTS, **options: Any) -> TextUnits:
    config = TextConfig(**{"case": "lower", "punctuation": "strip", **options})
    return TextUnits(fit_units(config, map(TextUnits(config).tokens, texts)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "“It’s 5 o'clock,” she said: ‘re-do’ — OK?"),
        ({"case": "upper"}, "“IT’S 5 O'CLOCK,” SHE SAID: ‘RE-DO’ — OK?"),
        ({"punctuation": "strip"}, "It's 5 o'clock she said re do OK"),
        ({"punctuation": "strip", "case": "lower"}, "it's 5 o'clock she said re do ok"),
    ],
)
def test_normalisation(options: dict[str, Any], expected: str) -> None:
    assert normalize("  “It’s 5 o'clock,”\tshe said: ‘re-do’ — OK? ", TextConfig(**options)) == expected


def test_normalisation_composes_letters() -> None:
    assert normalize("e\u0301te\u0301", TextConfig()) == "\u00e9t\u00e9"


def test_characters() -> None:
    units = units_of()
    assert units.config.symbols == [" ", "'", *"adehilnoprstw"]
    numbers = units.encode("The  hat!")
    assert [units.config.symbols[number] for number in numbers] == [*"the hat"]
    assert units.decode(numbers) == "the hat"
    assert units.words([*numbers, 0]) == [("the", 0, 3), ("hat", 4, 7)]


@pytest.mark.parametrize(("kind", "size"), [("bpe", 30), ("unigram", 18)])
def test_pieces_travel_in_the_configuration(kind: str, size: int) -> None:
    units = units_of(TEXTS * 3, kind=kind, size=size)
    assert len(units) == size
    again = TextUnits(structured(TextConfig, as_dict(units.config)))
    for text in ("the world", "hat stop don't", "lla"):
        numbers = again.encode(text)
        assert numbers == units.encode(text)
        assert again.decode(numbers) == text
        assert [word for word, _, _ in again.words(numbers)] == text.split()
    assert units_of(TEXTS * 3, kind=kind, size=size).config == units.config


def test_pieces_are_of_the_training_text_alone() -> None:
    assert {"▁world", "▁the"} <= set(units_of(TEXTS * 3, kind="bpe", size=30).config.symbols)
    with pytest.raises(ConfigError, match=r"text.size=5000 bpe pieces of 3 training transcripts \(.*high"):
        units_of(kind="bpe", size=5000)
    with pytest.raises(ConfigError, match="no sentencepiece model"):
        TextUnits(TextConfig(kind="bpe", symbols=["a"], model="AAAA")).encode("a")


@pytest.mark.parametrize(
    ("options", "text", "named"),
    [
        ({}, "the zoo", r"has 'z' \(U\+007A\) in its transcript, which is outside the 15 units"),
        ({"kind": "bpe", "size": 30}, "the zoo", r"has 'z' \(U\+007A\)"),
        ({"kind": "words"}, "the zoo", "has 'zoo' in its transcript, which is outside the 8 units"),
        ({}, " ?! ", r"has no word in its transcript ' \?! '"),
    ],
)
def test_what_cannot_be_written(options: dict[str, Any], text: str, named: str) -> None:
    with pytest.raises(TextError, match=named):
        units_of(TEXTS * 3, **options).encode(text)


def test_phones_are_what_space_separates_or_what_a_lexicon_says(tmp_path: Path) -> None:
    plain = units_of(["DH AH0 HH AE1 T"], kind="phones", case="keep")
    assert plain.config.symbols == ["AE1", "AH0", "DH", "HH", "T"]
    assert plain.decode(plain.encode("HH AE1 T")) == "HH AE1 T"
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text(";;; a comment\nHAT  HH AE1 T\nHAT(2) HH AH0 T\nA AH0\n")
    units = units_of(["a hat"], kind="phones", lexicon=str(lexicon))
    assert units.tokens("A hat.") == ["AH0", "HH", "AE1", "T"]
    assert units.config.symbols == ["AE1", "AH0", "HH", "T"]
    with pytest.raises(TextError, match=r"has the word 'cat', which the lexicon .*lexicon.txt does not have"):
        units.encode("a cat")
    # To recognise, a run needs its units and not the lexicon.
    elsewhere = TextUnits(structured(TextConfig, {**as_dict(units.config), "lexicon": "gone.txt"}))
    assert elsewhere.decode([2, 0, 3]) == "HH AE1 T"
    with pytest.raises(ConfigError, match=r"gone.txt cannot be read"):
        elsewhere.encode("a")


def test_a_lexicon_line_without_phones_is_named(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("A AH0\nHAT\n")
    with pytest.raises(ConfigError, match="line 2: the word 'HAT' has no phones"):
        read_lexicon(tmp_path / "lexicon.txt", TextConfig(kind="phones"))


def test_units_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "units.txt").write_text("SIL\nAH0\nHH\n")
    path = str(tmp_path / "units.txt")
    units = units_of(["AH0"], kind="phones", case="keep", symbols_file=path)
    assert units.config.symbols == ["SIL", "AH0", "HH"]
    (tmp_path / "units.txt").write_text("SIL\nAH0\nSIL\n")
    with pytest.raises(ConfigError, match="has the unit 'SIL' twice"):
        units_of(["AH0"], kind="phones", symbols_file=path)


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="lexicon is for text.kind=phones"):
        TextConfig(lexicon="lexicon.txt")
    with pytest.raises(ConfigError, match="which learns its units"):
        TextConfig(kind="bpe", symbols_file="units.txt")
    with pytest.raises(ConfigError, match="no text to take units from"):
        units_of([])


def test_files_of_windows_have_a_mark_that_is_no_text(tmp_path: Path) -> None:
    lexicon, symbols = tmp_path / "lexicon.txt", tmp_path / "symbols.txt"
    lexicon.write_text("\ufeffYES J E S\n", encoding="utf-8")
    symbols.write_text("\ufeffa\nb\u2028\n", encoding="utf-8")
    assert read_lexicon(lexicon, TextConfig(kind="phones")) == {"YES": ["J", "E", "S"]}
    assert fit_units(TextConfig(symbols_file=str(symbols)), []).symbols == ["a", "b"]


SLOTTED = ["fly to B-city New York E-city please!", "B-day today E-day"]


@pytest.mark.parametrize("kind", ["characters", "words", "bpe", "unigram"])
def test_ends_of_slots_are_units_that_stay_as_they_are(kind: str) -> None:
    units = units_of([*SLOTTED, *TEXTS], kind=kind, slots=True, size=24)
    ends = {"B-city", "E-city", "B-day", "E-day"}
    assert ends <= set(units.config.symbols)
    assert sum("-" in symbol for symbol in units.config.symbols) == 4
    for text, written in zip(SLOTTED, ["fly to B-city new york E-city please", "B-day today E-day"], strict=True):
        assert " ".join(units.tokens(text)) == written
        assert units.decode(units.encode(text)) == written
    words = [word for word, _, _ in units.words(units.encode(SLOTTED[0]))]
    assert words == ["fly", "to", "B-city", "new", "york", "E-city", "please"]
    with pytest.raises(TextError, match="has 'B-name' in its transcript, which is outside"):
        units.encode("B-name ann E-name")


def test_ends_of_slots_have_no_phones(tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("to T UW\nrome R OW M\n")
    units = units_of(["to B-city rome E-city"], kind="phones", lexicon=str(lexicon), slots=True)
    assert units.tokens("to B-city rome E-city") == ["T", "UW", "B-city", "R", "OW", "M", "E-city"]


def test_without_slots_they_are_text_like_any_other() -> None:
    assert normalize("B-city x", TextConfig(case="lower", punctuation="strip")) == "b city x"
