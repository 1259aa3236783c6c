"""Word similarity: do words that people find alike have vectors that are alike?

The vector of a word is the mean over its segments of their means over frames. The figure is Spearman's correlation of
cosines with ratings (word similarity in the layer-wise analysis of Pasad et al., 2023).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from audiossl.core.errors import LabelError
from audiossl.features.segment_states import Vectors
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate

_LEAST = 3  # pairs that have a correlation


class WordRating(NamedTuple):
    """How alike people find two words."""

    first: str
    second: str
    value: float


def read_ratings(path: Path, labels: Sequence[str]) -> list[WordRating]:
    """Pairs of which both words are said.

    path: lines of two words and a number, with commas or tabs. The first may be a header.
    labels: of the segments.
    Raises LabelError for a line that is none, and for fewer than three pairs.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(
            f"{path} cannot be read as a table of ratings; name a .csv of two words and a number."
        ) from error
    said, found, num = set(labels), [], 0
    for number, row in enumerate(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else ","), start=1):
        if not row:
            continue
        try:
            first, second, value = row[0].strip(), row[1].strip(), float(row[2])
        except (IndexError, ValueError) as error:
            if number == 1:
                continue
            raise LabelError(f"{path}, line {number}: {','.join(row)!r} is no pair of words and number.") from error
        num += 1
        if first in said and second in said and first != second:
            found.append(WordRating(first, second, value))
    if len(found) < _LEAST:
        raise LabelError(
            f"{len(found)} of the {num} pairs of {path} have segments of both words, and {_LEAST} are the least for a "
            f"correlation; check that labels and ratings are spelled alike."
        )
    return found


def similarity_estimate(
    means: Vectors, labels: Sequence[str], ratings: Sequence[WordRating], clusters: Clusters
) -> Estimate:
    """Spearman's correlation over pairs, and what it is without the segments of each cluster.

    means: (N, D) of the segments.
    labels: (N,) their words.
    ratings: of pairs of words.
    clusters: of the N segments.
    """
    merged = clusters.merged()
    words, places = np.unique(np.asarray(labels), return_inverse=True)
    index = {word: number for number, word in enumerate(words.tolist())}
    pairs = np.array([[index[each.first], index[each.second]] for each in ratings])
    values = np.array([each.value for each in ratings])

    def correlation(kept: np.ndarray) -> float:
        counts = np.bincount(places[kept], minlength=len(words))
        sums = np.zeros((len(words), means.shape[1]))
        np.add.at(sums, places[kept], means[kept])
        unit = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        there = (counts[pairs] > 0).all(axis=1)
        if there.sum() < _LEAST:
            return float("nan")
        cosines = (unit[pairs[there, 0]] * unit[pairs[there, 1]]).sum(axis=1)
        return float(stats.spearmanr(cosines, values[there]).statistic)

    without = [correlation(merged.of != number) for number in range(merged.num)]
    return Estimate(correlation(np.ones(len(labels), dtype=bool)), np.array(without), "real")
