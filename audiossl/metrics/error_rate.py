"""Word, character and phone error rates: edits of the best alignment (Levenshtein) over the units of the reference.

Rates are micro averages: all edits of a set over all its reference units. An empty reference has no unit and no rate
of its own. What was recognised for it counts as insertions. Several alignments may have the fewest edits, with
different shares of substitutions, deletions and insertions. The one taken is rapidfuzz's, as in jiwer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Groups
from audiossl.metrics.ratios import score_ratio

Pair = tuple[str, str]


class Edits(NamedTuple):
    """How a hypothesis differs from a reference of `num_units` units."""

    num_units: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def num_errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions


def align_tokens(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """(reference unit, recognised unit) pairs in their order, '' on the side where one is missing.

    >>> align_tokens("the cat sat".split(), "a cat sat down".split())
    [('the', 'a'), ('cat', 'cat'), ('sat', 'sat'), ('', 'down')]
    """
    pairs: list[Pair] = []
    for part in Levenshtein.opcodes(reference, hypothesis):
        left = reference[part.src_start : part.src_end]
        right = hypothesis[part.dest_start : part.dest_end]
        if part.tag == "insert":
            pairs += [("", word) for word in right]
        elif part.tag == "delete":
            pairs += [(word, "") for word in left]
        else:  # as many on both sides
            pairs += list(zip(left, right, strict=True))
    return pairs


def count_edits(reference: Sequence[str], hypothesis: Sequence[str]) -> Edits:
    """The edits of one item. Units are compared as they are: case and punctuation count.

    >>> count_edits("the cat sat".split(), "a cat sat down".split())
    Edits(num_units=3, substitutions=1, deletions=0, insertions=1)
    >>> count_edits([], ["uh"])
    Edits(num_units=0, substitutions=0, deletions=0, insertions=1)
    """
    tags = Counter(edit.tag for edit in Levenshtein.editops(reference, hypothesis))
    return Edits(len(reference), tags["replace"], tags["delete"], tags["insert"])


def error_rates(edits: Sequence[Edits], groups: Groups = None) -> dict[str, Metric]:
    """`rate`, and its parts `substitutions`, `deletions` and `insertions`, each a share of all reference units.

    groups: speakers, who vary as a whole. Raises ValueError where no reference has a unit.
    """
    units = [each.num_units for each in edits]
    if not sum(units):
        raise ValueError(f"An error rate needs a reference unit, and the {len(units)} references have none.")
    counts = {
        "rate": [each.num_errors for each in edits],
        "substitutions": [each.substitutions for each in edits],
        "deletions": [each.deletions for each in edits],
        "insertions": [each.insertions for each in edits],
    }
    return {name: score_ratio(np.array(values), np.array(units), groups) for name, values in counts.items()}


def most_frequent(pairs: Iterable[Pair], num: int) -> list[tuple[str, str, int]]:
    """The `num` most frequent differences as (reference, recognised, count), equal counts in alphabetical order."""
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(*pair, count) for pair, count in ranked[:num]]
