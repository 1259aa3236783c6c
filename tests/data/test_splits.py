"""Splits by group: nothing is in two of them, and each has about its share of every label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from lhotse.cut import Cut

from audiossl.core.errors import ManifestError
from audiossl.data.fields import read_field
from audiossl.data.leaks import check_leaks, source_of
from audiossl.data.splits import split_cuts


def test_split_by_recording_spreads_labels(rows_of: Callable[..., list[Cut]]) -> None:
    rows, shares = rows_of(), {"train": 0.5, "dev": 0.25, "test": 0.25}
    splits = split_cuts(rows, shares, seed=1)
    assert sum(len(cuts) for cuts in splits.values()) == len(rows)
    assert check_leaks(splits, "recording") == []
    assert {split: len(cuts) for split, cuts in splits.items()} == {"train": 36, "dev": 18, "test": 18}
    for cuts in splits.values():
        counts = Counter(read_field(cut, "label") for cut in cuts)
        assert counts["a"] == counts["b"]
    again = split_cuts(list(reversed(rows)), shares, seed=1)
    assert {s: sorted(c.id for c in cuts) for s, cuts in again.items()} == {
        s: sorted(c.id for c in cuts) for s, cuts in splits.items()
    }
    assert [c.id for c in split_cuts(rows, shares, seed=2)["test"]] != [c.id for c in splits["test"]]
    by_speaker = split_cuts(rows, shares, by="speaker")
    assert check_leaks(by_speaker, "speaker") == []
    with pytest.raises(ManifestError, match=r"1 group\(s\) by recording for 3 splits"):
        split_cuts(rows[:6], shares)
    with pytest.raises(ManifestError, match="must each be above 0 and sum to 1"):
        split_cuts(rows, {"train": 0.9, "test": 0.3})
    with pytest.raises(ManifestError, match=r"Row r0-0 has nothing in the field 'bird'"):
        split_cuts(rows, shares, by="bird")
    with pytest.raises(ManifestError, match=r"No row has the field 'speakre', .*Did you mean speaker"):
        split_cuts(rows, shares, stratify="speakre")
    with pytest.raises(ManifestError, match="must each be above 0 and sum to 1"):
        split_cuts(rows, {"train": 0.5, "dev": float("nan"), "test": 0.5})


def test_every_split_has_a_group_even_if_one_is_huge(rows_of: Callable[..., list[Cut]]) -> None:
    rows = [*rows_of(1, 40), *[cut for cut in rows_of(3, 1) if cut.id != "r0-0"]]
    splits = split_cuts(rows, {"train": 0.8, "dev": 0.1, "test": 0.1})
    assert sorted(len(cuts) for cuts in splits.values()) == [1, 1, 40]


def test_a_column_says_what_a_recording_is(rows_of: Callable[..., list[Cut]]) -> None:
    rows = rows_of()
    for place, cut in enumerate(rows):  # parts of six tapes, each in two files
        cut.supervisions[0].custom["recording"] = f"tape{place // 12}"
    splits = split_cuts(rows, {"train": 0.5, "test": 0.5})
    tapes = [{source_of(cut) for cut in cuts} for cuts in splits.values()]
    assert [len(found) for found in tapes] == [3, 3]
    assert not tapes[0] & tapes[1]


def test_rows_drawn_one_by_one_leak(rows_of: Callable[..., list[Cut]]) -> None:
    splits = split_cuts(rows_of(), {"train": 0.75, "test": 0.25}, by="item", stratify="")
    assert {split: len(cuts) for split, cuts in splits.items()} == {"train": 54, "test": 18}
    assert "share" in check_leaks(splits)[0]
