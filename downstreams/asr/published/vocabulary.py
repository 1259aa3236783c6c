"""Vocabularies of recognisers of other toolkits: which row of a head is the blank, and what text the others are.

transformers writes `vocab.json`, from tokens to rows, and `tokenizer_config.json`, with the names of the blank (the
token of padding) and of the space. fairseq writes `dict.ltr.txt`, a unit a line, before which it has four of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from audiossl.core.errors import CheckpointError
from audiossl.data.text import TextConfig
from audiossl.encoders.formats.original import Original
from audiossl.encoders.hub import read_described

_TOKENIZERS = {"Wav2Vec2CTCTokenizer": "characters", "Wav2Vec2PhonemeCTCTokenizer": "phones"}
_FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")  # the rows before those of its file, of which the first is the blank
_OVERWRITE = " #fairseq:overwrite"
_NO_BREAK_SPACE = "\u00a0"


class Vocabulary(NamedTuple):
    """What the rows of a head stand for.

    text: the units, and the normalisation of transcripts that can be written in them.
    rows: the row of the blank, then that of each unit.
    """

    text: TextConfig
    rows: list[int]


def of_transformers(folder: Path, config: Mapping[str, Any], num_rows: int) -> Vocabulary:
    """The vocabulary of a folder of transformers. Tokens beyond the rows of the head are never emitted.

    folder: with vocab.json.
    config: what its config.json says.
    num_rows: of the head.
    Raises CheckpointError for a folder without a vocabulary, and for a tokenizer of another kind.
    """
    said = _described(folder, "tokenizer_config.json")
    kind = _kind_of(folder, said)
    tokens = _tokens(folder, said)
    unknown = _token(said, "unk_token", "<unk>")
    by_row = {row: token for token, row in tokens.items() if row < num_rows}
    symbols = [by_row.get(row, unknown) for row in range(num_rows)]
    padding = _token(said, "pad_token", "<pad>")
    blank = tokens.get(padding, config.get("pad_token_id"))
    if not isinstance(blank, int) or not 0 <= blank < num_rows:
        raise CheckpointError(
            f"{folder} does not say which of its {num_rows} classes is the blank: its vocabulary has no {padding!r}, "
            f"and config.json has pad_token_id={blank!r}; mend one of them."
        )
    delimiter = _token(said, "word_delimiter_token", "|")
    lower = bool(said.get("do_lower_case", False))  # which upper-cases what is read, and lower-cases what is written
    return _vocabulary(kind, [symbol.lower() if lower else symbol for symbol in symbols], blank, delimiter)


def of_fairseq(original: Original, num_rows: int) -> Vocabulary:
    """The vocabulary of a file of fairseq, from the dictionary beside it.

    original: the file.
    num_rows: of the head.
    Raises CheckpointError where there is no dictionary, or one of another size.
    """
    task = original.described.get("task")
    labels = str(task.get("labels") or "ltr") if isinstance(task, Mapping) else "ltr"
    path = original.path.parent / f"dict.{labels}.txt"
    if not path.is_file():
        raise CheckpointError(
            f"{original.path} is a recogniser of fairseq, whose units are in a dictionary beside it, and there is no "
            f"{path}; copy it there from the data that it was fine-tuned on."
        )
    symbols = [*_FAIRSEQ, *_symbols_of(path)]
    if len(symbols) != num_rows:
        raise CheckpointError(
            f"{path} has {len(symbols) - len(_FAIRSEQ)} units, with which fairseq has {len(symbols)} classes, and the "
            f"head of {original.path.name} has {num_rows}; take the dictionary that it was fine-tuned with."
        )
    return _vocabulary("phones" if labels == "phn" else "characters", symbols, 0, "|")


def _vocabulary(
    kind: Literal["characters", "phones"], symbols: Sequence[str], blank: int, delimiter: str
) -> Vocabulary:
    """The units in the order of their rows, with spaces for delimiters."""
    rows = [row for row in range(len(symbols)) if row != blank]
    units = [_written(symbols[row], delimiter) for row in rows]
    letters = {unit for unit in units if len(unit) == 1}
    if kind == "phones":
        return Vocabulary(TextConfig(kind=kind, symbols=units), [blank, *rows])
    text = TextConfig(kind=kind, symbols=units, case=_case_of(letters), punctuation=_punctuation_of(letters))
    return Vocabulary(text, [blank, *rows])


def _written(symbol: str, delimiter: str) -> str:
    if symbol == delimiter:
        return " "
    # A space beside the delimiter stood in no target, so that it is to be no second space here.
    return _NO_BREAK_SPACE if symbol == " " else symbol.replace("▁", " ")


def _case_of(letters: Iterable[str]) -> Literal["keep", "upper", "lower"]:
    """What makes a text writable: letters of one case can only write that case."""
    upper, lower = any(map(str.isupper, letters)), any(map(str.islower, letters))
    return "keep" if upper == lower else "upper" if upper else "lower"


def _punctuation_of(letters: Iterable[str]) -> Literal["keep", "strip"]:
    marks = [each for each in letters if each != "'" and unicodedata.category(each).startswith("P")]
    return "keep" if marks else "strip"


def _kind_of(folder: Path, said: Mapping[str, Any]) -> Literal["characters", "phones"]:
    name = str(said.get("tokenizer_class") or "Wav2Vec2CTCTokenizer")
    if name not in _TOKENIZERS:
        raise CheckpointError(
            f"{folder} has a tokenizer {name}; runs are made of recognisers with {' or '.join(_TOKENIZERS)}."
        )
    return "phones" if _TOKENIZERS[name] == "phones" else "characters"


def _tokens(folder: Path, said: Mapping[str, Any]) -> dict[str, int]:
    """The row of each token, also of those that were added. Of several languages those of `target_lang`."""
    if not (folder / "vocab.json").is_file():
        raise CheckpointError(
            f"{folder} is a recogniser without a vocabulary: it has no vocab.json; save the processor beside the model."
        )
    found: dict[str, Any] = _described(folder, "vocab.json")
    if any(isinstance(value, Mapping) for value in found.values()):
        language = said.get("target_lang")
        if language not in found:
            raise CheckpointError(
                f"{folder / 'vocab.json'} has {len(found)} languages, and tokenizer_config.json names none of them as "
                f"target_lang (it says {language!r}); save model and processor of one language."
            )
        found = dict(found[language])
    added = said.get("added_tokens_decoder")
    for row, token in (added if isinstance(added, Mapping) else {}).items():
        found.setdefault(_content(token), int(row))
    found = {**found, **_described(folder, "added_tokens.json")}
    if wrong := next((token for token, row in found.items() if not isinstance(row, int) or row < 0), None):
        raise CheckpointError(f"{folder / 'vocab.json'} has {found[wrong]!r} as the row of {wrong!r}; get it again.")
    return found


def _token(said: Mapping[str, Any], name: str, default: str) -> str:
    """A special token, '' where there is said to be none."""
    return _content(said.get(name, default))


def _content(token: Any) -> str:
    """A token's text, also where its file says more of it."""
    return str((token.get("content") if isinstance(token, Mapping) else token) or "")


def _described(folder: Path, name: str) -> dict[str, Any]:
    return read_described(folder / name) if (folder / name).is_file() else {}


def _symbols_of(path: Path) -> list[str]:
    """The units of a dictionary of fairseq: a unit and its count a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as UTF-8 text; get it again.") from error
    symbols = []
    for number, line in enumerate(lines, start=1):
        unit, space, count = line.removesuffix(_OVERWRITE).rpartition(" ")
        if not (space and unit and count.lstrip("-").isdigit()):
            raise CheckpointError(f"{path} line {number} is no unit with its count; get it again.")
        symbols.append(unit)
    return symbols
