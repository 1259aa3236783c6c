"""What an epoch draws: how long rows will last, shares of values, classes with noisy edges."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from audiossl.core.errors import ManifestError
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import EpochDraws, Use, arranged, balanced, in_windows


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


def in_shards(row, sizes):
    """Rows of so many in each shard, interleaved so that the manifest's order is not theirs."""
    digest = "0" * 32
    places = [(shard, number) for shard, size in enumerate(sizes) for number in range(size)]
    random.Random(0).shuffle(places)
    return [
        row(
            f"s{shard}-{number}",
            8000 + 10 * number,
            path=f"/x/{shard}.tar#{512 * number + 512}+9:{digest}:{number}.flac",
        )
        for shard, number in places
    ]


def test_shards_follow_each_other_and_a_window_of_them_is_mixed(row):
    rows = in_shards(row, [7, 5, 6, 8, 5])
    config = LoaderConfig(batch_size=3, order="shards", window_shards=2)
    draws = EpochDraws(rows, config, seed=1)
    epochs = []
    for epoch in (0, 1):
        windows = [[rows[use.row].id for use in window] for window in draws.windows(epoch)]
        shards = [{name.partition("-")[0] for name in window} for window in windows]
        assert sorted(map(len, shards)) == [1, 2, 2]
        assert sorted(name for window in windows for name in window) == sorted(cut.id for cut in rows)
        assert len(set().union(*shards)) == 5 == sum(map(len, shards))  # none comes back
        epochs.append(windows)
    assert epochs[0] != epochs[1]
    again = EpochDraws(rows, config, seed=1)
    assert [[rows[use.row].id for use in window] for window in again.windows(1)] == epochs[1]
    other = EpochDraws(rows, config, seed=2)
    assert [[rows[use.row].id for use in window] for window in other.windows(1)] != epochs[1]


def test_a_row_in_no_shard_has_no_place_in_their_order(row):
    with pytest.raises(ManifestError, match=r"Row a \(a\.wav\) is in no shard.*audiossl data shards"):
        EpochDraws([row("a", 8000, path="a.wav")], LoaderConfig(order="shards"), seed=0)


def test_windows_are_about_equal():
    assert [len(window) for window in in_windows(range(17), 8)] == [6, 6, 5]
    assert [len(window) for window in in_windows(range(3), 8)] == [3]
