"""A fresh probe: what it tells where there is something to tell, and where there is not."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.held_out import predicted_held_out
from audiossl.core.errors import LabelError


def items(num: int, signal: float, seed: int = 0) -> tuple[list[str], list[str], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = [f"s{number % 4}" for number in range(num)]
    vectors = rng.standard_normal((num, 6)).astype(np.float32)
    vectors[np.arange(num), np.arange(num) % 4] += signal
    return [f"item-{number:04}" for number in range(num)], labels, vectors


def right(told: list[tuple[str, str, str]]) -> float:
    return float(np.mean([target == found for _, target, found in told]))


def test_each_item_is_predicted_once_by_what_it_had_no_part_in() -> None:
    ids, labels, vectors = items(60, 6.0)
    told = predicted_held_out(ids, labels, vectors)
    assert sorted(item for item, _, _ in told) == ids
    assert right(told) > 0.98
    assert right(predicted_held_out(*items(60, 0.0))) < 0.45
    # Of vectors that say nothing but which item it is, nothing is learnt of another.
    assert right(predicted_held_out(ids, labels, np.eye(60, dtype=np.float32))) < 0.5


def test_the_order_of_the_rows_changes_nothing() -> None:
    ids, labels, vectors = items(24, 1.0)
    order = np.random.default_rng(3).permutation(24)
    mixed = predicted_held_out([ids[n] for n in order], [labels[n] for n in order], vectors[order])
    assert sorted(mixed) == sorted(predicted_held_out(ids, labels, vectors))


def test_labels_with_few_items_are_left_out_and_too_few_labels_are_said() -> None:
    ids, labels, vectors = items(40, 4.0)
    labels[0] = "rare"
    told = predicted_held_out(ids, labels, vectors)
    assert len(told) == 39
    with pytest.raises(LabelError, match="two labels with 5 items each, and of the 1 labels 1 have so many"):
        predicted_held_out(ids, ["same"] * 40, vectors)
