"""What two splits share is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import ManifestError
from audiossl.data.fields import read_field
from audiossl.data.leaks import check_leaks, shared_values, source_of


def test_leaks_are_named(rows_of: Callable[..., list[Cut]]) -> None:
    rows = rows_of(3)
    splits = {"train": CutSet.from_cuts(rows[:8]), "test": CutSet.from_cuts(rows[8:])}
    (sentence,) = check_leaks(splits)
    assert sentence.startswith("train & test share 1 source recording(s), for instance r1.wav: ")
    with pytest.raises(ManifestError, match=r"train & test share 1 of recording, for instance 'r1\.wav'"):
        check_leaks(splits, "recording")
    with pytest.raises(ManifestError, match=r"train & test share 1 of speaker, for instance 's0'"):
        check_leaks(splits, "speaker")
    with pytest.raises(ManifestError, match=r"Row r0-0 of train has nothing in the field 'bird'"):
        check_leaks(splits, "bird")
    for cut in rows:  # pieces of one tape in files of their own
        cut.supervisions[0].custom["recording"] = "tape"
    assert "for instance tape" in check_leaks(splits)[0]


def test_the_source_of_a_row_is_its_tape_then_its_file(rows_of: Callable[..., list[Cut]]) -> None:
    row = rows_of(1, 1)[0]
    assert source_of(row) == "r0.wav"
    row.supervisions[0].custom["recording"] = "tape"
    assert source_of(row) == "tape"


def test_shared_values_of_each_pair_are_sorted_and_rows_without_one_count_for_nothing(
    rows_of: Callable[..., list[Cut]],
) -> None:
    rows = rows_of(6, 1)  # two recordings a speaker: s0, s0, s1, s1, s2, s2
    parts = {"train": rows[1:5], "dev": rows[:1], "test": [rows[5], rows[2]]}

    def speaker(cut: Cut) -> str | None:
        return read_field(cut, "speaker")

    assert shared_values(parts, speaker) == {"train & dev": ["s0"], "train & test": ["s1", "s2"]}
    assert shared_values(parts, lambda cut: None) == {}
    assert check_leaks({"train": rows[:4], "test": rows[4:]}, "speaker") == []


def test_parts_of_a_recording_in_shards_are_of_that_recording(rows_of: Callable[..., list[Cut]]) -> None:
    rows = rows_of(2)
    for number, cut in enumerate(rows):
        cut.recording.sources[0].source = f"/x/train-0.tar#{512 * number + 512}+9:{'0' * 32}:{number}.flac"
    assert [source_of(cut) for cut in rows] == [str(cut.recording.id) for cut in rows]
    assert len({source_of(cut) for cut in rows}) == 12
