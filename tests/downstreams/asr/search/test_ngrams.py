"""N-gram models: by hand, against KenLM's reading, and as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from audiossl.core.errors import ConfigError
from audiossl.downstreams.asr.search.ngrams import NgramModel, estimate, words_of_arpa, write_arpa

TEXT = ["a b", "a b c", "b a", "c", "a b a c", "c a b", "b b", "a c a b c"]


def model(order: int = 3, text: Sequence[str] = tuple(TEXT)) -> NgramModel:
    return estimate([line.split() for line in text], order)


def test_bigrams_are_those_of_a_hand_worked_example() -> None:
    """Of 'a b' and 'a a': counts of counts give no discounts, so that they are 0.5, 1 and 1.5."""
    made = model(2, ["a b", "a a"])
    # Bigrams: <s> a 2, a b 1, b </s> 1, a a 1, a </s> 1. Words before: a 2 (<s>, a), b 1, </s> 2 (b, a).
    freed = (1.0 + 0.5 + 1.0) / 5
    unigram = {word: count / 5 + freed / 4 for word, count in (("a", 1.0), ("b", 0.5), ("</s>", 1.0))}
    assert 10 ** made.tables[0][("a",)][0] == pytest.approx(unigram["a"])
    assert 10 ** made.tables[0][("<unk>",)][0] == pytest.approx(freed / 4)
    assert 10 ** made.log10_prob("a", ["<s>"]) == pytest.approx((2 - 1.0) / 2 + 1.0 / 2 * unigram["a"])
    assert 10 ** made.log10_prob("b", ["a"]) == pytest.approx((1 - 0.5) / 3 + 1.5 / 3 * unigram["b"])
    assert 10 ** made.log10_prob("b", ["b"]) == pytest.approx(0.5 / 1 * unigram["b"])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_after_any_history_sum_to_one(order: int) -> None:
    made = model(order)
    words = ["a", "b", "c", "</s>", "<unk>"]
    for history in [[], ["<s>"], *map(list, product(["<s>", "a", "b", "c"], ["a", "b", "c"])), ["z", "a"]]:
        assert sum(10 ** made.log10_prob(word, history) for word in words) == pytest.approx(1.0), history


def test_kenlm_reads_the_file_as_it_is_meant(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    made = model(3)
    write_arpa(tmp_path / "lm.arpa", made)
    reader = kenlm.Model(str(tmp_path / "lm.arpa"))
    for sentence in ["a b c", "c c c a", "b z a", ""]:
        words = ["<s>", *sentence.split(), "</s>"]
        expected = sum(made.log10_prob(word, words[:place]) for place, word in enumerate(words) if place)
        assert reader.score(sentence) == pytest.approx(expected, abs=1e-5)
    assert words_of_arpa(tmp_path / "lm.arpa") == ["a", "b", "c"]


def test_a_word_that_follows_many_others_falls_back_higher_than_one_that_follows_one() -> None:
    """Kneser and Ney's 'San Francisco': frequent, after one word alone."""
    text = ["san francisco"] * 6 + ["a glass", "the glass", "my glass", "one glass"]
    made = model(2, text)
    assert made.log10_prob("glass", ["new"]) > made.log10_prob("francisco", ["new"])


def test_what_is_no_model_or_no_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="The text has no word"):
        estimate([], 3)
    with pytest.raises(ConfigError, match="has the word <s>, which stands for no word"):
        estimate([["<s>", "a"]], 2)
    path = tmp_path / "lm.arpa"
    with pytest.raises(ConfigError, match=r"lm\.arpa cannot be read; set it to an ARPA or a KenLM file"):
        words_of_arpa(path)
    path.write_text("hello\n")
    with pytest.raises(ConfigError, match=r"lm\.arpa is neither an ARPA file nor one of KenLM"):
        words_of_arpa(path)
    write_arpa(path, model(3))
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ConfigError, match=r"lm\.arpa ends before its last line, \\end\\: it is a part of a model"):
        words_of_arpa(path)
    assert not math.isnan(model(3, ["a"]).log10_prob("a", ["a"]))
