"""Likeness of words against ratings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audiossl.analysis.discrimination.likeness import WordRating, read_ratings, similarity_estimate
from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import clusters_of

LABELS = ["cat", "cat", "dog", "car", "car", "bus"]
RATINGS = [
    WordRating("cat", "dog", 9.0),
    WordRating("car", "bus", 8.0),
    WordRating("cat", "car", 1.0),
    WordRating("dog", "bus", 2.0),
]


def test_a_vector_of_a_word_is_the_mean_of_its_segments() -> None:
    """Cosines: cat (mean of (1, 0.2) and (1, -0.2)) and dog 1, car and bus 0.6, cat and car 0, dog and bus 0.8.

    Ranks 4, 2, 1, 3 against 4, 3, 1, 2: Spearman 1 - 6 (0 + 1 + 0 + 1) / (4 * 15) = 0.8.
    """
    means = np.array([[1, 0.2], [1, -0.2], [2, 0], [0, 1], [0, 3], [0.8, 0.6]], dtype=np.float32)
    clusters = clusters_of(["s", "t", "s", "s", "t", "t"], 6)
    found = similarity_estimate(means, LABELS, RATINGS, clusters)
    assert found.value == pytest.approx(0.8)
    assert np.isnan(found.without).all()  # each speaker alone has fewer than three pairs


def test_tables_of_ratings(tmp_path: Path) -> None:
    table = tmp_path / "ratings.csv"
    table.write_text("word1,word2,score\ncat,dog,9\ncar,bus,8\ncat,car,1.5\nking,queen,9\n")
    assert read_ratings(table, LABELS) == [
        WordRating("cat", "dog", 9),
        WordRating("car", "bus", 8),
        WordRating("cat", "car", 1.5),
    ]
    table.write_text("cat\tdog\t9\ncar\tbus\t8\nking\tqueen\t1\n")
    with pytest.raises(LabelError, match="2 of the 3 pairs .* have segments of both words"):
        read_ratings(table, LABELS)
    table.write_text("cat,dog,9\ncar,bus,much\n")
    with pytest.raises(LabelError, match="line 2: 'car,bus,much' is no pair of words and number"):
        read_ratings(table, LABELS)
    with pytest.raises(LabelError, match="cannot be read as a table of ratings"):
        read_ratings(tmp_path / "none.csv", LABELS)
