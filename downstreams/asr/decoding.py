"""From scores to symbols and words with times, by the best path of CTC (Graves et al., 2006, section 3.2): the best
unit of each frame, repetitions merged, blanks dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audiossl.data.text import TextUnits
from audiossl.encoders.upstream import Upstream

BLANK = 0  # class 0; class n + 1 is unit n


class Symbol(NamedTuple):
    """A unit over the steps first to last (exclusive) and the mean probability that it had there."""

    unit: int
    first: int
    last: int
    confidence: float


class Span(NamedTuple):
    """A word, or a unit, in seconds from the beginning of the recording."""

    text: str
    start_s: float
    end_s: float
    confidence: float

    def as_json(self) -> list[str | float]:
        return [self.text, *(round(value, 3) for value in self[1:])]


class Clock(NamedTuple):
    """Where steps of the head are in time: step t covers from_s + t step_s to from_s + (t + 1) step_s.

    A frame stands for one stride around the middle of what it sees of the waveform.
    """

    from_s: float
    step_s: float
    duration_s: float

    @classmethod
    def of(cls, upstream: Upstream, joined: int, duration_s: float) -> Clock:
        from_samples = (upstream.receptive_field - upstream.stride) / 2 - upstream.edge
        rate = upstream.sample_rate_hz
        return cls(from_samples / rate, joined * upstream.stride / rate, duration_s)

    def at(self, step: int) -> float:
        return min(max(self.from_s + step * self.step_s, 0.0), self.duration_s)


def best_path(log_probs: Tensor) -> tuple[Tensor, Tensor]:
    """log_probs (..., C) -> the best class of each step (...), and its probability."""
    values, classes = log_probs.max(dim=-1)
    return classes.cpu(), values.float().exp().cpu()


def merge(classes: Tensor, probabilities: Tensor, num_units: int) -> list[Symbol]:
    """Symbols of one item's best path, both (T,). A class beyond the units (an end of sentence) adds nothing.

    >>> merge(torch.tensor([0, 2, 2, 0, 2, 1]), torch.ones(6), 2)
    [Symbol(unit=1, first=1, last=3, confidence=1.0), Symbol(unit=1, first=4, last=5, confidence=1.0), \
Symbol(unit=0, first=5, last=6, confidence=1.0)]
    """
    kept, counts = torch.unique_consecutive(classes, return_counts=True)
    symbols, first = [], 0
    for number, count in zip(kept.tolist(), counts.tolist(), strict=True):
        if BLANK < number <= num_units:
            confidence = float(probabilities[first : first + count].mean())
            symbols.append(Symbol(number - 1, first, first + count, confidence))
        first += count
    return symbols


def words_of(symbols: Sequence[Symbol], units: TextUnits, clock: Clock) -> list[Span]:
    """Words with times: from the beginning of a word's first symbol to the end of its last, as CTC has emitted them.

    confidence: the mean over its symbols.
    """
    return [
        Span(
            word,
            clock.at(symbols[first].first),
            clock.at(symbols[last - 1].last),
            sum(symbol.confidence for symbol in symbols[first:last]) / (last - first),
        )
        for word, first, last in units.words([symbol.unit for symbol in symbols])
    ]


def spans_of(symbols: Sequence[Symbol], units: TextUnits, clock: Clock) -> list[Span]:
    """Each symbol with its times."""
    return [
        Span(units.config.symbols[symbol.unit], clock.at(symbol.first), clock.at(symbol.last), symbol.confidence)
        for symbol in symbols
    ]
