"""Text units: from a transcript to the symbols that a recogniser emits, and back to words.

    config = TextConfig(kind="bpe", size=500)
    units = TextUnits(fit_units(config, map(TextUnits(config).tokens, transcripts)))
    units.encode("HELLO WORLD")     # symbol numbers
    units.words([3, 17, 4])         # [("HELLO", 0, 2), ("WORLD", 2, 3)]: each with the symbols it is made of

Everything that was learnt (the list of symbols, the sentencepiece model) is in the configuration itself, so that a run
folder needs no other file to recognise.
"""

from __future__ import annotations

import base64
import io
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import Range, check_ranges

_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "`": "'"})  # what typesetters write
_SLOT_END = re.compile(r"[BE]-\S+")


class TextError(LabelError):
    """A transcript cannot be used.

    The message is a clause without a subject, to be completed by what the transcript belongs to.
    """


class UnknownSymbolError(TextError):
    """A transcript has what is none of the units."""


@dataclass(frozen=True)
class TextConfig:
    """Units and how a transcript becomes a sequence of them. White space is always reduced to single spaces."""

    kind: Literal["characters", "bpe", "unigram", "words", "phones"] = "characters"
    """What the units are: 'characters' (space included), 'bpe' or 'unigram' (pieces of sentencepiece,
    arXiv:1808.06226), 'words', or 'phones' (what white space separates in the transcript, or the phones of its words
    with a `lexicon`)."""
    size: Annotated[int, Range(2)] = 500
    """Number of pieces of bpe and unigram."""
    case: Literal["keep", "upper", "lower"] = "keep"
    """What becomes of upper and lower case in transcripts."""
    punctuation: Literal["keep", "strip"] = "keep"
    """Whether punctuation marks stay. 'strip' makes a space of each but an apostrophe within a word."""
    slots: bool = False
    """Whether words like B-city and E-city are the ends of a slot: a unit each, which stays as it is written."""
    lexicon: str = ""
    """A file with a word, white space and its phones a line, of which the first of a word counts. Empty for none."""
    symbols_file: str = ""
    """A file with one unit a line, where they are not to be those of the training text. Empty for none."""
    symbols: list[str] = field(default_factory=list)
    """The units. Empty for those of the training text, which are filled in before training."""
    model: str = ""
    """The sentencepiece model, packed. Empty for one of the training text, which is filled in before training."""

    def __post_init__(self) -> None:
        check_ranges(self, "text")
        if self.lexicon and self.kind != "phones":
            raise ConfigError(f"text.lexicon is for text.kind=phones, and this is {self.kind!r}; leave it out.")
        if self.symbols_file and self.kind in ("bpe", "unigram"):
            raise ConfigError(
                f"text.symbols_file is not for text.kind={self.kind}, which learns its units; leave it out."
            )


def normalize(text: str, config: TextConfig) -> str:
    """A transcript as it is recognised and scored, in Unicode's composed form.

    >>> normalize(" Don’t  stop,\\tcall-forward! ", TextConfig(case="upper", punctuation="strip"))
    "DON'T STOP CALL FORWARD"
    >>> normalize("to B-city new york E-city!", TextConfig(case="upper", slots=True))
    'TO B-city NEW YORK E-city!'
    """
    if config.slots:
        plain, words = replace(config, slots=False), unicodedata.normalize("NFC", text).split()
        runs = (" ".join(run) if marked else normalize(" ".join(run), plain) for marked, run in _runs(words))
        return " ".join(filter(None, runs))
    text = unicodedata.normalize("NFC", text)
    if config.punctuation == "strip":
        text = _without_punctuation(text.translate(_APOSTROPHES))
    if config.case != "keep":
        text = text.upper() if config.case == "upper" else text.lower()
    return " ".join(text.split())


def is_slot_end(word: str) -> bool:
    """Whether a word is the beginning or the end of a slot.

    >>> is_slot_end("B-city"), is_slot_end("E-city"), is_slot_end("E-"), is_slot_end("city")
    (True, True, False, False)
    """
    return _SLOT_END.fullmatch(word) is not None


def fit_units(config: TextConfig, transcripts: Iterable[Sequence[str]]) -> TextConfig:
    """The configuration with its units: as it has them, those of `symbols_file`, or those of the training text.

    transcripts: the words (or phones) of each, as `TextUnits.tokens` gives them.
    Raises ConfigError for a text that has too little for the units that are asked for.
    """
    if config.symbols:
        return config
    if config.symbols_file:
        return replace(config, symbols=_symbols_of(Path(config.symbols_file)))
    said = [list(tokens) for tokens in transcripts]
    found = {symbol for tokens in said for symbol in _symbols_in(tokens, config)}
    if not found:
        raise ConfigError("The training items have no text to take units from; set task.text_field to its column.")
    if config.kind not in ("bpe", "unigram"):
        return replace(config, symbols=sorted(found))
    ends = {word for tokens in said for word in tokens if config.slots and is_slot_end(word)}
    lines = [" ".join(word for word in tokens if word not in ends) for tokens in said]
    model = _train_sentencepiece(config, lines)
    pieces = [model.id_to_piece(number) for number in range(1, model.get_piece_size())]  # 0 is <unk>
    packed = zlib.compress(model.serialized_model_proto(), 9)
    return replace(config, symbols=[*pieces, *sorted(ends)], model=base64.b64encode(packed).decode("ascii"))


class TextUnits:
    """The units of a configuration that `fit_units` has completed. Numbers are from 0, in the order of `symbols`."""

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        self.index = {symbol: number for number, symbol in enumerate(config.symbols)}

    def __len__(self) -> int:
        return len(self.config.symbols)

    @property
    def are_phones(self) -> bool:
        return self.config.kind == "phones"

    def tokens(self, text: str) -> list[str]:
        """The words (or phones) of a transcript, which are what is counted when it is scored.

        Raises TextError for a text without any, and for a word that the lexicon does not have.
        """
        words = normalize(text, self.config).split()
        if not words:
            raise TextError(f"has no word in its transcript {text!r}")
        if not self.config.lexicon:
            return words
        ends = {word: [word] for word in words if self._is_end(word)}
        missing = next((word for word in words if word not in self.lexicon and word not in ends), None)
        if missing is not None:
            raise TextError(f"has the word {missing!r}, which the lexicon {self.config.lexicon} does not have")
        return [phone for word in words for phone in ends.get(word) or self.lexicon[word]]

    def encode(self, text: str) -> list[int]:
        """Numbers of the symbols of a transcript. Raises TextError that names the first symbol outside the units."""
        tokens = self.tokens(text)
        if self.config.kind in ("bpe", "unigram"):
            return self._pieces(tokens)
        symbols = _symbols_in(tokens, self.config)
        unknown = next((symbol for symbol in symbols if symbol not in self.index), None)
        if unknown is not None:
            raise self._outside(unknown)
        return [self.index[symbol] for symbol in symbols]

    def written(self, number: int) -> str:
        """What a symbol adds to the text: a space in it, wherever it is, parts two words."""
        symbol = self.config.symbols[number]
        if self._is_end(symbol):
            return f" {symbol} "
        if self.config.kind in ("bpe", "unigram"):
            return symbol.replace("▁", " ")
        return symbol if self.config.kind == "characters" else f" {symbol}"

    def words(self, numbers: Sequence[int]) -> list[tuple[str, int, int]]:
        """(word, first symbol, last symbol + 1) of each word that a sequence of symbols spells.

        A symbol that is nothing but a space belongs to no word.
        """
        found: list[tuple[str, int, int]] = []
        is_open = False
        for place, number in enumerate(numbers):
            for character in self.written(number):
                if character == " ":
                    is_open = False
                elif is_open:
                    found[-1] = (found[-1][0] + character, found[-1][1], place + 1)
                else:
                    found.append((character, place, place + 1))
                    is_open = True
        return found

    def decode(self, numbers: Sequence[int]) -> str:
        """The text that a sequence of symbols spells, with single spaces.

        >>> TextUnits(TextConfig(symbols=[" ", "a", "b"])).decode([0, 1, 2, 0, 0, 2])
        'ab b'
        """
        return " ".join(word for word, _, _ in self.words(numbers))

    @cached_property
    def lexicon(self) -> dict[str, list[str]]:
        """Phones by word, of the first pronunciation. Raises ConfigError for a file that is none."""
        return read_lexicon(Path(self.config.lexicon), self.config)

    def _is_end(self, word: str) -> bool:
        return self.config.slots and is_slot_end(word)

    def _pieces(self, tokens: Sequence[str]) -> list[int]:
        """Numbers of the pieces of words, and of the ends of slots between them."""
        numbers: list[int] = []
        runs = _runs(tokens) if self.config.slots else [(False, list(tokens))]
        for marked, run in runs:
            if marked:
                if unknown := [word for word in run if word not in self.index]:
                    raise self._outside(unknown[0])
                numbers += [self.index[word] for word in run]
                continue
            numbers += [number - 1 for number in self._sentencepiece.encode(" ".join(run))]
            if -1 in numbers:
                known = set("".join(self.config.symbols))
                raise self._outside(next((c for c in "".join(run) if c not in known), run[0]))
        return numbers

    def _outside(self, symbol: str) -> UnknownSymbolError:
        code = f" (U+{ord(symbol):04X})" if len(symbol) == 1 else ""
        return UnknownSymbolError(f"has {symbol!r}{code} in its transcript, which is outside the {len(self)} units")

    @cached_property
    def _sentencepiece(self) -> Any:
        import sentencepiece

        try:
            packed = zlib.decompress(base64.b64decode(self.config.model, validate=True))
            return sentencepiece.SentencePieceProcessor(model_proto=packed)
        except (ValueError, zlib.error, RuntimeError) as error:
            raise ConfigError("text.model is no sentencepiece model; train again, which writes it.") from error


def read_lexicon(path: Path, config: TextConfig) -> dict[str, list[str]]:
    """Phones by word, of the first pronunciation. Words are normalised as transcripts are.

    Lines are as LibriSpeech's lexicon and CMUdict have them. A number in brackets after a word, as in `READ(2)`, marks
    another pronunciation. Lines that begin with three semicolons or # are comments. Raises ConfigError that names the
    line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The lexicon {path} cannot be read; set task.text.lexicon to a UTF-8 text file.") from error
    lexicon: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith((";;;", "#")):
            continue
        word, *phones = line.split()
        if not phones:
            raise ConfigError(f"{path} line {number}: the word {word!r} has no phones; add them, or drop the line.")
        if word.endswith(")") and word[:-1].rpartition("(")[2].isdigit():
            word = word.rpartition("(")[0]
        word = normalize(word, config) or word
        lexicon.setdefault(word, phones)
    return lexicon


def _runs(words: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
    """Neighbouring words, of which all or none are ends of slots, and whether they are."""
    return ((marked, list(run)) for marked, run in groupby(words, is_slot_end))


def _symbols_in(tokens: Sequence[str], config: TextConfig) -> list[str]:
    """The symbols of words, for other units than pieces. The space beside a slot is outside of it.

    >>> _symbols_in(["to", "B-city", "x", "E-city"], TextConfig(slots=True))
    ['t', 'o', ' ', 'B-city', 'x', 'E-city']
    """
    if config.kind in ("words", "phones"):
        return list(tokens)
    if not config.slots:
        return list(" ".join(tokens))
    found: list[str] = []
    for place, token in enumerate(tokens):
        marked = is_slot_end(token)
        begins = place and is_slot_end(tokens[place - 1]) and tokens[place - 1].startswith("B-")
        if place and not begins and not (marked and token.startswith("E-")):
            found.append(" ")
        found += [token] if marked else list(token)
    return found


def _without_punctuation(text: str) -> str:
    inside = [
        character == "'" and 0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()
        for place, character in enumerate(text)
    ]
    return "".join(
        " " if unicodedata.category(character).startswith("P") and not kept else character
        for character, kept in zip(text, inside, strict=True)
    )


def _symbols_of(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read; set task.text.symbols_file to a UTF-8 text file.") from error
    symbols = [line.strip() or line for line in lines if line]  # a line may hold a space alone
    twice = next((symbol for symbol in symbols if symbols.count(symbol) > 1), None)
    if twice is not None or not symbols:
        what = "has no line" if twice is None else f"has the unit {twice!r} twice"
        raise ConfigError(f"{path} {what}; give one unit a line.")
    return symbols


def _train_sentencepiece(config: TextConfig, lines: Sequence[str]) -> Any:
    import sentencepiece

    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            model_type=config.kind,
            vocab_size=config.size + 1,  # and <unk>
            character_coverage=1.0,
            normalization_rule_name="identity",  # `normalize` has been here
            num_threads=1,
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).rpartition("] ")[2] or str(error)
        raise ConfigError(
            f"sentencepiece cannot make text.size={config.size} {config.kind} pieces of {len(lines)} training "
            f"transcripts ({reason.strip().rstrip('.')}); choose another size."
        ) from error
    return sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
