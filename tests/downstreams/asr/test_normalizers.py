"""Normalisers of whisper-normalizer in scoring, against jiwer on texts that the library has normalised."""

from __future__ import annotations

import sys

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from audiossl.core.errors import ConfigError
from audiossl.data.text import TextConfig, TextUnits
from audiossl.downstreams.asr.normalizers import NAMES, compared, load_normalizer
from audiossl.downstreams.asr.task import AsrConfig
from audiossl.downstreams.asr.transcripts import TranscriptJudge

PAIRS = [
    ("Mister Smith isn't twenty-one, uh, years old.", "mr smith is not 21 years old"),
    ("The colour of fifty dollars!", "the color of $50 bill"),
    ("Um.", ""),
    ("Nothing changes", "something changed"),
]


def rows() -> list[dict]:
    return [
        {"id": str(n), "target": target, "predicted": found, "speaker": f"s{n}", "duration_s": 1.0}
        for n, (target, found) in enumerate(PAIRS)
    ]


def test_rates_are_those_of_jiwer_on_normalised_texts() -> None:
    english = EnglishTextNormalizer()
    targets, found = ([english(text) for text in texts] for texts in zip(*PAIRS, strict=True))
    judge = TranscriptJudge(TextUnits(TextConfig(symbols=[" ", "a"])), normalizer="whisper-english")
    made = [compared(row, "whisper-english") for row in rows()]
    scores = judge.score(made)
    known = [place for place, target in enumerate(targets) if target]  # jiwer takes no empty reference
    edits = jiwer.process_words([targets[n] for n in known], [found[n] for n in known])
    assert sum(row["num_errors"] for row in made) == edits.substitutions + edits.deletions + edits.insertions
    assert scores["wer"].value == pytest.approx(edits.wer)
    assert made[0]["num_errors"] == 0 and made[2]["num_units"] == 0
    said = judge.facts(made)["normalization"]["normalizer"]
    assert said["name"] == "whisper-english" and said["package"].startswith("whisper-normalizer ")


def test_texts_as_they_were_are_kept_and_come_back() -> None:
    first = rows()[0]
    made = compared(first, "whisper-english")
    assert made["raw"] == {"target": PAIRS[0][0], "predicted": PAIRS[0][1]}
    assert compared(made, "whisper-english") == made
    again = compared(compared(made, "whisper-basic"), "")
    assert {key: again[key] for key in first} == first and "raw" not in again
    assert compared({**first, "target": None}, "whisper-english")["predicted"] == PAIRS[0][1]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_normaliser(name: str) -> None:
    assert isinstance(load_normalizer(name)("Abc 12"), str)


def test_what_cannot_be_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such normaliser. Did you mean whisper-english"):
        AsrConfig(normalizer="whisper-englsh")
    with pytest.raises(ConfigError, match="is for words, and text.kind is phones"):
        AsrConfig(normalizer="whisper-english", text=TextConfig(kind="phones"))
    monkeypatch.setitem(sys.modules, "whisper_normalizer.basic", None)
    load_normalizer.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[text\]"):
        load_normalizer("whisper-basic")


def test_units_that_count_as_one_are_folded() -> None:
    row = {"id": "a", "target": "ax q b cl ah", "predicted": "ah b vcl ix q", "num_errors": 5, "speaker": None}
    folding = {"ax": "ah", "q": "", "cl": "sil", "vcl": "sil"}
    made = compared(row, "", folding)
    assert (made["target"], made["predicted"]) == ("ah b sil ah", "ah b sil ix")
    assert (made["num_errors"], made["num_units"]) == (1, 4)
    assert compared(made, "", folding) == made  # of its own texts
    again = compared(made, "")
    assert (again["target"], again["num_errors"], again["num_units"]) == ("ax q b cl ah", 5, 5)
    units = TextUnits(TextConfig(kind="phones", symbols=["ax", "ah"]))
    assert TranscriptJudge(units, folding=folding).facts([made])["normalization"]["folding"] == folding


def test_foldings_that_say_two_things_are_refused() -> None:
    phones = TextConfig(kind="phones")
    with pytest.raises(ConfigError, match=r"task\.folding makes 'b' of a unit, and 'c' of that"):
        AsrConfig(folding={"a": "b", "b": "c"}, text=phones)
    with pytest.raises(ConfigError, match=r"task\.folding is for text\.kind=phones"):
        AsrConfig(folding={"a": "b"})
    AsrConfig(folding={"a": "b", "b": "b"}, text=phones)
