"""The most probable text by beam search over the scores of CTC, with or without words and a language model.

A text is worth

    score = log p(text | sound) + lm_weight ln p_lm(text) + word_score (number of words)

where the first term is that of CTC, over all alignments. The search is that of flashlight-text (Kahn et al.,
Flashlight, 2022). What its beam holds at the end, and the text of the best path where language model and lexicon allow
it, are then scored exactly, so that a search is never worse than the best path. The text that wins is aligned by the
most probable path through it: its words have the times that `audiossl align` would give them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.data.text import TextError, TextUnits, normalize
from audiossl.downstreams.asr.decoding import BLANK
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.library import flashlight
from audiossl.downstreams.asr.search.ngrams import UNKNOWN, words_of_arpa
from audiossl.nn.alignment import align_classes, steps_needed
from audiossl.nn.sequence_probability import sequence_log_probs

_log = logging.getLogger(__name__)

SPACE = "|"  # what the space is called in models of units, which have spaces between units
_LEAST_SHARE = 0.5  # of a model's words that the units must spell
_MOST_NAMED = 5
_LN10 = float(np.log(10.0))  # models say decimal logarithms
_UNLIKELY = -1e4
_NO_THRESHOLD = 1e30  # no score is lower by that
_FEWEST_EXAMINED = 5  # texts of the beam that are scored exactly


class Weights(NamedTuple):
    """Of a search: what the language model's logarithm is multiplied by, and what a word adds."""

    lm_weight: float
    word_score: float


class Hypothesis(NamedTuple):
    """A text that was found.

    classes: of the steps of its most probable path, (T,).
    text: what it spells.
    score: of the search.
    acoustic: log p(text | sound).
    language: ln p_lm(text), with what hot words add. 0 without a language model.
    """

    classes: Tensor
    text: str
    score: float
    acoustic: float
    language: float


class BeamSearch:
    """A search in the units of a recogniser.

    units: those of the recogniser.
    config: how to search.
    weights: of the language model and of words.
    Raises ConfigError for a language model or lexicon that is none, or is of other units.
    """

    def __init__(self, units: TextUnits, config: DecodingConfig, weights: Weights) -> None:
        self.units, self.config = units, config
        self._library = flashlight()
        self.space = units.index.get(" ") if units.config.kind == "characters" else None
        self.free = config.is_free
        spellings = {} if self.free else self._spellings()
        self._spelling = list(spellings.values())
        self._number = {tuple(spelling): number for number, spelling in enumerate(self._spelling)}
        self._sizes = sorted({len(spelling) for spelling in self._number}, reverse=True)
        self._tokens = ["<blank>", *self._unit_names] if self.free else list(spellings)
        self._model = self._language_model()
        self._trie = None if self.free else self._trie_of(spellings)
        self.weigh(weights)

    def weigh(self, weights: Weights) -> None:
        """Take other weights. What was read stays."""
        self.weights = weights
        # Without a language model there is nothing to weigh, and a weight of 0 would silence what hot words add.
        self._scale = max(weights.lm_weight * _LN10, 1e-6) if self.config.lm else 1.0
        hot = {normalize(word, self.units.config) for word in self.config.hot_words}
        added = {number: self.config.hot_score / self._scale for number, word in enumerate(self._tokens) if word in hot}
        if self.free and weights.word_score:
            added = dict.fromkeys(range(1, len(self._tokens)), weights.word_score / self._scale)
        self._raised = self._library.raised(self._model, added) if added else self._model
        self._decoder = self._free_decoder() if self.free else self._word_decoder()

    def __call__(self, log_probs: Tensor) -> list[Hypothesis]:
        """The best texts of an item, the best first, at most `nbest`, at least one.

        log_probs: (T, C) of its steps.
        """
        scores = _steps_searched(log_probs.float().cpu().numpy()[:, : 1 + len(self.units)], self.config.sure_blank)
        if self._ends_words:  # a word ends with a space, the last as well
            end = np.full((1, scores.shape[1]), _UNLIKELY, dtype=np.float32)
            end[0, 1 + self.space] = 0.0  # type: ignore[operator]
            scores = np.concatenate([scores, end])
        scores = np.ascontiguousarray(scores)
        results = self._decoder.decode(scores.ctypes.data, *scores.shape)
        best = _best_text(log_probs)
        tokens = {best: self._tokens_of(best), (): []}
        tokens |= dict(self._found(result) for result in results[: self._examined])
        known = {text: t for text, t in tokens.items() if t is not None and steps_needed(text) <= len(log_probs)}
        acoustics = sequence_log_probs(log_probs.double().cpu().numpy(), list(known), BLANK).tolist()
        found = [
            _Scored(acoustic, self._language_of(known[text]), len(known[text]), text)
            for text, acoustic in zip(known, acoustics, strict=True)
        ]
        found.sort(key=self._worth, reverse=True)
        return [self._hypothesis(log_probs, each) for each in found[: self.config.nbest]]

    @property
    def _examined(self) -> int:
        return max(self.config.nbest, _FEWEST_EXAMINED)

    def _worth(self, found: _Scored) -> float:
        return found.acoustic + self._scale * found.language + self.weights.word_score * found.num_words

    def _found(self, result: Any) -> tuple[tuple[int, ...], list[int]]:
        """The classes of a text of the library, and what the language model knows it by: its units, or its words.

        A text of words is written in one way: without a space at its beginning, at its end or beside another.
        """
        if self.free:
            text = _collapsed([int(number) for number in result.tokens[1:-1] if number >= 0])
            return text, list(text)
        words = [int(word) for word in result.words if word >= 0]
        spelled = [number for word in words for number in self._spelling[word]]
        return tuple(spelled[:-1] if self._ends_words else spelled), words

    def _tokens_of(self, text: Sequence[int]) -> list[int] | None:
        """The same of a text that is no result. None where a word is not in the lexicon."""
        if self.free:
            return list(text)
        words = self._spelled_words(text)
        return None if words is None else [self._number[word] for word in words]

    def _spelled_words(self, text: Sequence[int]) -> list[tuple[int, ...]] | None:
        """Classes of the words of a text, each as the lexicon spells it. None where it does not."""
        ends, left, words = ([1 + self.space] if self.space is not None else []), list(text), []
        left += ends
        while left:
            size = next((size for size in self._sizes if tuple(left[:size]) in self._number), None)
            if size is None:
                return None
            words.append(tuple(left[:size]))
            left = left[size:]
        return words

    def _language_of(self, tokens: Sequence[int]) -> float:
        """What the model says of a text, in its own unit, with what hot words add."""
        model = self._model if self.free else self._raised  # what units add is counted with the units
        state, total = model.start(False), 0.0
        for token in tokens:
            state, score = model.score(state, token)
            total += score
        return total + float(model.finish(state)[1])

    def _hypothesis(self, log_probs: Tensor, found: _Scored) -> Hypothesis:
        (path,) = align_classes(log_probs[None], torch.tensor([len(log_probs)]), [found.text], blank=BLANK)
        spelled = self.units.decode([number - 1 for number in found.text])
        language = found.language * (_LN10 if self.config.lm else 1.0)
        return Hypothesis(path, spelled, self._worth(found), found.acoustic, language)

    @property
    def _ends_words(self) -> bool:
        return not self.free and self.space is not None

    @property
    def _unit_names(self) -> list[str]:
        return [SPACE if symbol == " " else symbol for symbol in self.units.config.symbols]

    def _free_decoder(self) -> Any:
        decoder, config = self._library.decoder, self.config
        options = decoder.LexiconFreeDecoderOptions(
            config.beam, self._tried, self._threshold, self._scale, 0.0, True, decoder.CriterionType.CTC
        )
        return decoder.LexiconFreeDecoder(options, self._raised, self._silence, BLANK, [])

    def _word_decoder(self) -> Any:
        decoder, config = self._library.decoder, self.config
        never = -float("inf")
        options = decoder.LexiconDecoderOptions(
            config.beam,
            self._tried,
            self._threshold,
            self._scale,
            self.weights.word_score,
            never,
            0.0,
            True,
            decoder.CriterionType.CTC,
        )
        unknown = len(self._tokens)
        return decoder.LexiconDecoder(options, self._trie, self._raised, self._silence, BLANK, unknown, [], False)

    def _trie_of(self, spellings: Mapping[str, Sequence[int]]) -> Any:
        """The words as a tree, in which each beginning of a word knows the best that it can become."""
        trie, start = self._library.decoder.Trie(1 + len(self.units), self._silence), self._model.start(False)
        for number, spelling in enumerate(spellings.values()):
            trie.insert(list(spelling), number, self._model.score(start, number)[1])
        trie.smear(self._library.decoder.SmearingMode.MAX)
        return trie

    @property
    def _tried(self) -> int:
        return self.config.beam_units or 1 + len(self.units)

    @property
    def _threshold(self) -> float:
        return self.config.threshold or _NO_THRESHOLD

    @property
    def _silence(self) -> int:
        return -1 if self.space is None else 1 + self.space

    def _spellings(self) -> dict[str, list[int]]:
        """Classes of each word that may be found. Raises ConfigError where too few can be spelled."""
        spelled: dict[str, list[int]] = {}
        unknown: list[str] = []
        hot: dict[str, list[str]] = {normalize(word, self.units.config): [] for word in self.config.hot_words}
        for word, units in {**hot, **self._words()}.items():
            try:
                spelled[word] = self._classes(word, units)
            except (TextError, KeyError):
                unknown.append(word)
        if not unknown:
            return spelled
        where = self.config.lexicon or self.config.lm or "task.decoding.hot_words"
        what = (
            f"{len(unknown)} of {len(spelled) + len(unknown)} words of {where} cannot be spelled in the units of this "
            f"recogniser, for instance {', '.join(map(repr, unknown[:_MOST_NAMED]))}"
        )
        if len(spelled) < _LEAST_SHARE * (len(spelled) + len(unknown)):
            raise ConfigError(
                f"{what}; give one whose text was normalised as the run's (`audiossl lm train --run RUN`), or of units "
                f"with task.decoding.lexicon=none."
            )
        _log.warning("%s; they are never found.", what)
        return spelled

    def _words(self) -> dict[str, list[str]]:
        """Words with their units, where these are said. Raises ConfigError."""
        config = self.config
        if config.lexicon:
            return _words_of_file(Path(config.lexicon))
        words = words_of_arpa(Path(config.lm)) if config.lm else []
        if words is None:
            raise ConfigError(
                f"{config.lm} is in KenLM's binary form, which does not tell its words; name a file with them by "
                f"task.decoding.lexicon, or give the ARPA file."
            )
        return {word: [] for word in words}

    def _classes(self, word: str, units: Sequence[str]) -> list[int]:
        numbers = [self.units.index[unit] for unit in units] if units else self.units.encode(word)
        ends = [] if self.space is None else [self.space]
        return [1 + number for number in [*numbers, *ends]]

    def _language_model(self) -> Any:
        """What is read of the configuration's file. Raises ConfigError for one that is no model."""
        path = self.config.lm
        if not path:
            return self._library.decoder.ZeroLM()
        known = words_of_arpa(Path(path))
        if self.free and known is not None:
            self._check_units(known)
        dictionary = self._library.dictionary()
        for token in [*self._tokens, UNKNOWN]:
            dictionary.add_entry(token)
        try:
            with _quiet():
                return self._library.kenlm(path, dictionary)
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[0]
            raise ConfigError(f"The language model {path} cannot be read ({reason}); get the whole file.") from error

    def _check_units(self, known: Sequence[str]) -> None:
        strange = [word for word in known if word not in self._tokens]
        if len(strange) > _LEAST_SHARE * len(known):
            raise ConfigError(
                f"{len(strange)} of {len(known)} words of {self.config.lm} are none of the units of this recogniser, "
                f"for instance {', '.join(map(repr, strange[:_MOST_NAMED]))}; make one of its units by `audiossl lm "
                f"train --run RUN --units`, or leave task.decoding.lexicon=none out."
            )


class _Scored(NamedTuple):
    """A text with what it is worth: language is in the unit of the model, text are classes."""

    acoustic: float
    language: float
    num_words: int
    text: tuple[int, ...]


def _steps_searched(scores: npt.NDArray[np.float32], sure_blank: float | None) -> npt.NDArray[np.float32]:
    """scores (T, C) without those steps that follow another and, as that, have a blank of at least this probability.

    One of them keeps equal units before and after it apart.
    """
    if sure_blank is None:
        return scores
    sure = scores[:, BLANK] >= np.log(max(sure_blank, 1e-30))
    again = sure[1:] & sure[:-1]
    return scores[np.concatenate([[True], ~again])] if again.any() else scores


def _best_text(log_probs: Tensor) -> tuple[int, ...]:
    return _collapsed(log_probs.argmax(dim=-1).tolist())


@contextmanager
def _quiet() -> Iterator[None]:
    """KenLM draws the progress of its reading on standard error, which nothing else can turn off."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _collapsed(classes: Sequence[int]) -> tuple[int, ...]:
    kept = [number for place, number in enumerate(classes) if place == 0 or number != classes[place - 1]]
    return tuple(number for number in kept if number != BLANK)


def _words_of_file(path: Path) -> dict[str, list[str]]:
    """Units by word, an empty list where the file does not say them. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The lexicon {path} cannot be read; set task.decoding.lexicon to a UTF-8 file.") from error
    words = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    if not words:
        raise ConfigError(f"The lexicon {path} has no word; give one a line.")
    return words
