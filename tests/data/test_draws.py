"""What an epoch draws: how long rows will last, shares of values, classes with noisy edges."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from audiossl.core.errors import ManifestError
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import EpochDraws, Use, arranged, balanced


@pytest.mark.parametrize(
    "options",
    [{}, {"max_crop_s": 0.35}, {"speeds": [0.9, 1.0, 1.1]}, {"speeds": [0.83, 1.17], "max_crop_s": 0.4003}],
)
def test_how_long_a_row_lasts_is_known_before_it_is_made(row, options):
    rows = [row(f"r{number}", 4001 + 37 * number, rate=11025) for number in range(40)]
    draws = EpochDraws(rows, LoaderConfig(**options), seed=3)
    for epoch in (0, 1):
        for use in draws.order(epoch):
            assert use.lasts_s == pytest.approx(draws.cut(use, epoch).duration, abs=1e-8)


def test_values_have_equal_shares_but_for_the_odd_rows():
    numbers = {"a": range(2), "b": range(2, 12), "c": range(12, 20)}
    drawn = balanced(numbers, "0 0 label")
    assert sorted(sum(number in members for number in drawn) for members in numbers.values()) == [6, 7, 7]
    uses = Counter(drawn)
    assert max(uses[number] for number in numbers["a"]) - min(uses[number] for number in numbers["a"]) <= 1
    assert max(uses[number] for number in numbers["b"]) == 1
    assert drawn == balanced(numbers, "0 0 label") != balanced(numbers, "0 1 label")


def test_classes_have_noisy_edges_which_differ():
    uses = [Use(number, 0, 1 + number / 100) for number in range(200)]
    orders = [[use.row for use in arranged(uses, 4, random.Random(seed))] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(200))
    # From long to short, but for a class and the noise.
    firsts, lasts = orders[0][:50], orders[0][-50:]
    assert min(firsts) > 80 and max(lasts) < 120
    assert set(firsts) != set(orders[2][:50])


def test_one_class_is_a_random_order():
    uses = [Use(number, 0, 1 + number) for number in range(1000)]
    order = [use.row for use in arranged(uses, 1, random.Random(0))]
    assert sorted(order) == list(range(1000))
    assert 450 < sum(order[:500]) / 500 < 550


def test_a_row_that_cannot_be_balanced_is_named(row):
    with pytest.raises(ManifestError, match=r"Row r0 has nothing in the field 'speaker'.*data\.balance"):
        EpochDraws([row("r0", 8000)], LoaderConfig(balance="speaker"), seed=0)
