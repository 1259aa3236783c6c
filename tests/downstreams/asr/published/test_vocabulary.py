"""Vocabularies of other toolkits: the blank, the space, and what text can be written in the units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import CheckpointError
from audiossl.downstreams.asr.published.vocabulary import of_fairseq, of_transformers
from audiossl.encoders.formats.original import Original


def saved(folder: Path, tokens: Any, **said: Any) -> Path:
    (folder / "vocab.json").write_text(json.dumps(tokens), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def test_the_blank_comes_first_and_the_delimiter_is_a_space(tmp_path: Path) -> None:
    folder = saved(tmp_path, {"a": 0, "b": 1, "_": 2, "[PAD]": 3}, pad_token="[PAD]", word_delimiter_token="_")
    found = of_transformers(folder, {}, 4)
    assert (found.rows, found.text.symbols) == ([3, 0, 1, 2], ["a", "b", " "])
    assert (found.text.case, found.text.punctuation) == ("lower", "strip")


def test_letters_of_both_cases_and_marks_are_kept(tmp_path: Path) -> None:
    text = of_transformers(saved(tmp_path, {"<pad>": 0, "a": 1, "B": 2, "-": 3}), {}, 4).text
    assert (text.case, text.punctuation) == ("keep", "keep")


def test_a_tokenizer_that_writes_lower_case_does(tmp_path: Path) -> None:
    text = of_transformers(saved(tmp_path, {"<pad>": 0, "|": 1, "A": 2}, do_lower_case=True), {}, 3).text
    assert (text.symbols, text.case) == ([" ", "a"], "lower")


def test_tokens_beyond_the_head_and_rows_without_a_token(tmp_path: Path) -> None:
    """Fine-tuned models of others often have <s> and </s> beyond their rows, or more rows than tokens."""
    added = {"4": {"content": "</s>"}, "0": {"content": "<pad>"}}
    found = of_transformers(saved(tmp_path, {"a": 1, "<unk>": 2}, added_tokens_decoder=added), {}, 4)
    assert (found.rows, found.text.symbols) == ([0, 1, 2, 3], ["a", "<unk>", "<unk>"])


def test_the_blank_may_stand_in_the_configuration_alone(tmp_path: Path) -> None:
    assert of_transformers(saved(tmp_path, {"a": 0, "b": 1}), {"pad_token_id": 1}, 2).rows == [1, 0]
    with pytest.raises(CheckpointError, match=r"does not say which of its 2 classes is the blank.*pad_token_id=7"):
        of_transformers(tmp_path, {"pad_token_id": 7}, 2)


def test_a_space_beside_the_delimiter_is_no_second_space(tmp_path: Path) -> None:
    assert of_transformers(saved(tmp_path, {"<pad>": 0, " ": 1, "|": 2}), {}, 3).text.symbols == ["\u00a0", " "]


def test_phones_are_parted_by_spaces(tmp_path: Path) -> None:
    folder = saved(tmp_path, {"<pad>": 0, "aː": 1}, tokenizer_class="Wav2Vec2PhonemeCTCTokenizer")
    assert of_transformers(folder, {}, 2).text.kind == "phones"


def test_of_several_languages_the_one_that_is_named(tmp_path: Path) -> None:
    tokens = {"eng": {"<pad>": 0, "a": 1}, "deu": {"<pad>": 0, "ä": 1}}
    assert of_transformers(saved(tmp_path, tokens, target_lang="deu"), {}, 2).text.symbols == ["ä"]
    with pytest.raises(CheckpointError, match=r"has 2 languages, .* \(it says None\)"):
        of_transformers(saved(tmp_path, tokens), {}, 2)


def test_what_is_no_vocabulary_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a recogniser without a vocabulary: it has no vocab.json"):
        of_transformers(tmp_path, {}, 2)
    with pytest.raises(CheckpointError, match="has a tokenizer WhisperTokenizer"):
        of_transformers(saved(tmp_path, {}, tokenizer_class="WhisperTokenizer"), {}, 2)
    with pytest.raises(CheckpointError, match="has 'x' as the row of 'a'"):
        of_transformers(saved(tmp_path, {"a": "x"}), {}, 2)


def fairseq(folder: Path, lines: str, labels: str = "ltr") -> Original:
    (folder / f"dict.{labels}.txt").write_text(lines, encoding="utf-8")
    return Original(folder / "model.pt", "fairseq", {"task": {"labels": labels}}, {}, dict)


def test_fairseq_has_four_units_of_its_own_before_those_of_its_file(tmp_path: Path) -> None:
    found = of_fairseq(fairseq(tmp_path, "| 94802\nE 51860\nmadeupword0000 0 #fairseq:overwrite\n"), 7)
    assert found.rows == list(range(7))
    assert found.text.symbols == ["<pad>", "</s>", "<unk>", " ", "E", "madeupword0000"]
    assert of_fairseq(fairseq(tmp_path, "aː 3\n", "phn"), 5).text.kind == "phones"


def test_another_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has 1 units, with which fairseq has 5 classes, .* has 32"):
        of_fairseq(fairseq(tmp_path, "| 1\n"), 32)
    with pytest.raises(CheckpointError, match="line 2 is no unit with its count"):
        of_fairseq(fairseq(tmp_path, "| 1\nE\n"), 6)
