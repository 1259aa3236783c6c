"""N-gram language models with modified Kneser-Ney smoothing, written as ARPA.

Chen & Goodman, An empirical study of smoothing techniques for language modeling, 1999, in the interpolated form of
Heafield et al., Scalable modified Kneser-Ney language model estimation, 2013. With a(hw) the count of an n-gram, which
below the highest order is the number of different words before it (n-grams that begin a sentence keep their counts):

    p(w | h) = (a(hw) - D(a(hw))) / a(h) + b(h) p(w | h')        b(h) = sum_i D_i N_i(h) / a(h)

where h' is h without its first word, a(h) the sum of a(hw) over w, N_i(h) how many w have a(hw) = i (3: or more), and

    D_i = i - (i + 1) Y t_(i+1) / t_i        Y = t_1 / (t_1 + 2 t_2)

with t_i the number of n-grams of that order with a = i. Unigrams fall back to the uniform distribution over all words
and <unk>. It is meant for the transcripts of a corpus, a million words or so. For billions there is KenLM's lmplz.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
_FALLBACK = (0.5, 1.0, 1.5)  # discounts where counts of counts give none, as in small texts
_NEVER = -99.0  # log10 of the probability of <s>, which is never predicted

Ngram = tuple[str, ...]
Counts = Mapping[Ngram, int]


class NgramModel(NamedTuple):
    """Log10 probability and log10 backoff weight of each n-gram, by order from 1."""

    tables: tuple[dict[Ngram, tuple[float, float]], ...]

    @property
    def order(self) -> int:
        return len(self.tables)

    def log10_prob(self, word: str, history: Sequence[str]) -> float:
        """Of a word after others, as every reader of ARPA files computes it."""
        if word != END and (word,) not in self.tables[0]:
            word = UNKNOWN
        context = tuple(history[-(self.order - 1) :]) if self.order > 1 else ()
        lost = 0.0
        for start in range(len(context) + 1):
            found = self.tables[len(context) - start].get((*context[start:], word))
            if found is not None:
                return lost + found[0]
            lost += self.tables[len(context) - start - 1].get(context[start:], (0.0, 0.0))[1]
        raise AssertionError("every word or <unk> is a unigram")


def estimate(sentences: Iterable[Sequence[str]], order: int) -> NgramModel:
    """The model of a text.

    sentences: the words of each.
    order: the longest n-gram, at least 1.
    Raises ConfigError for a text without a word, or with a word that marks the ends of sentences.
    """
    counts = _adjusted(_counted(sentences, order))
    words = {*(ngram[0] for ngram in counts[0]), UNKNOWN} - {BEGIN}
    lower: dict[Ngram, float] = {(word,): 1 / len(words) for word in words}
    parts = []
    for number, table in enumerate(counts):
        probabilities, left = _interpolated(table, lower, uniform=1 / len(words) if number == 0 else None)
        parts.append((probabilities, left))
        lower = probabilities
    tables: list[dict[Ngram, tuple[float, float]]] = []
    for number, (probabilities, _) in enumerate(parts):
        backoffs = parts[number + 1][1] if number + 1 < len(parts) else {}
        tables.append({ngram: (math.log10(p), _log10(backoffs.get(ngram, 1.0))) for ngram, p in probabilities.items()})
    tables[0][(BEGIN,)] = (_NEVER, _log10(parts[1][1].get((BEGIN,), 1.0)) if order > 1 else 0.0)
    return NgramModel(tuple(tables))


def write_arpa(path: Path, model: NgramModel) -> None:
    """The ARPA file that KenLM, SRILM and others read."""
    lines = ["\\data\\", *(f"ngram {number}={len(table)}" for number, table in enumerate(model.tables, start=1)), ""]
    for number, table in enumerate(model.tables, start=1):
        lines.append(f"\\{number}-grams:")
        for ngram, (probability, backoff) in sorted(table.items()):
            weight = f"\t{backoff:.7g}" if number < model.order and backoff else ""
            lines.append(f"{probability:.7g}\t{' '.join(ngram)}{weight}")
        lines.append("")
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join([*lines, "\\end\\", ""]), encoding="utf-8")


def words_of_arpa(path: Path) -> list[str] | None:
    """The words of a model, but for those that mark ends and unknown words. None for a file in KenLM's binary form.

    Raises ConfigError for a file that is no model, or ends before its last line.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ConfigError(f"The language model {path} cannot be read; set it to an ARPA or a KenLM file.") from error
    if start.startswith(b"mmap lm "):
        return None
    if b"\\data\\" not in start:
        raise ConfigError(f"{path} is neither an ARPA file nor one of KenLM; make one by `audiossl lm train`.")
    words, inside, last = [], False, ""
    with open(path, encoding="utf-8") as text:
        for line in text:
            if line.startswith("\\"):
                inside, last = line.startswith("\\1-grams:"), line.strip()
            elif inside and line.strip():
                words.append(line.rstrip("\n").split("\t")[1])
    if last != "\\end\\":
        raise ConfigError(f"{path} ends before its last line, \\end\\: it is a part of a model; get the whole file.")
    return [word for word in words if word not in (BEGIN, END, UNKNOWN, UNKNOWN.upper())]


def _counted(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Ngram]]:
    """How often each n-gram of each order occurs."""
    counts: list[Counter[Ngram]] = [Counter() for _ in range(order)]
    for words in sentences:
        for word in words:
            if word in (BEGIN, END, UNKNOWN):
                raise ConfigError(f"The text has the word {word}, which stands for no word in language models.")
        padded = (BEGIN, *words, END)
        for size, table in enumerate(counts, start=1):
            table.update(padded[start : start + size] for start in range(len(padded) - size + 1))
    if set(counts[0]) <= {(BEGIN,), (END,)}:
        raise ConfigError("The text has no word, and so there is nothing to make a language model of.")
    return counts


def _adjusted(counts: Sequence[Counter[Ngram]]) -> list[dict[Ngram, int]]:
    """The highest order as it is, lower ones by how many words come before. <s> is never predicted."""
    made = [dict(table) for table in counts]
    for table, above in pairwise(range(len(counts))):
        before = Counter(ngram[1:] for ngram in counts[above])
        made[table] = {ngram: before.get(ngram, 0) or count for ngram, count in counts[table].items()}
    return [{ngram: count for ngram, count in table.items() if ngram != (BEGIN,)} for table in made]


def _discounts(counts: Counts) -> tuple[float, float, float]:
    """D_1, D_2 and D_3, the last of all counts from 3 on."""
    t = Counter(min(count, 4) for count in counts.values())
    if not all(t[size] for size in (1, 2, 3)):
        return _FALLBACK
    y = t[1] / (t[1] + 2 * t[2])
    found = tuple(size - (size + 1) * y * t[size + 1] / t[size] for size in (1, 2, 3))
    ordered = all(0 < value <= size for size, value in enumerate(found, start=1))
    return (found[0], found[1], found[2]) if ordered else _FALLBACK


def _interpolated(
    counts: Counts, lower: Mapping[Ngram, float], uniform: float | None
) -> tuple[dict[Ngram, float], dict[Ngram, float]]:
    """p(w | h) of each n-gram, and b(h) of each history.

    counts: a of each n-gram of an order.
    lower: p(w | h') of the order below.
    uniform: for unigrams, that of each word. None for other orders.
    """
    discounts = _discounts(counts)
    totals: dict[Ngram, float] = defaultdict(float)
    freed: dict[Ngram, float] = defaultdict(float)
    for ngram, count in counts.items():
        totals[ngram[:-1]] += count
        freed[ngram[:-1]] += discounts[min(count, 3) - 1]
    left = {history: freed[history] / total for history, total in totals.items()}
    made = {
        ngram: (count - discounts[min(count, 3) - 1]) / totals[ngram[:-1]]
        + left[ngram[:-1]] * (uniform if uniform is not None else lower[ngram[1:]])
        for ngram, count in counts.items()
    }
    if uniform is not None:
        made[(UNKNOWN,)] = left[()] * uniform
    return made, left


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else _NEVER
