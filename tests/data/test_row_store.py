"""Rows by number: few as they are, many packed, and always the same."""

from __future__ import annotations

import pickle

import pytest

from audiossl.data.row_store import RowStore


@pytest.fixture
def rows(row):
    made = [row(f"speaker{number % 3}/{number:04}", 8000 + number, path=f"s/{number:04}.flac") for number in range(60)]
    made[5].custom = {"note": "é" * 300}
    return made


@pytest.mark.parametrize("num_held", [1, 20, 59, 60, 100])
def test_a_row_is_read_as_it_was_added(rows, num_held):
    store = RowStore(num_held)
    for count, each in enumerate(rows, start=1):
        store.add(each)
        assert len(store) == count
    for number in (0, 59, 7, 5, 31, 0):
        assert store[number] == rows[number]


def test_packed_rows_take_a_fraction_of_what_they_take_pickled(rows):
    store = RowStore(20)
    for each in rows:
        store.add(each)
    assert len(store._packed) < sum(len(pickle.dumps(each)) for each in rows) / 5
    assert store[30] is not store[30]
