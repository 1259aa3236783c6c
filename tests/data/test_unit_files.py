"""Files of units: what is written is read, and a part of a row has the labels of its own sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lhotse import MonoCut

from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.unit_files import UnitFacts, UnitLabels, UnitRow, read_unit_rows, write_unit_rows

RATE = 16000
FACTS = UnitFacts(100.0, 50, 199.5 / RATE, "abc")
Row = Callable[..., MonoCut]


class Hubert:
    """Frames of 400 samples, every 320."""

    sample_rate_hz, stride, receptive_field, edge = RATE, 320, 400, 0


def units_of(seconds: float, name: str = "a", facts: UnitFacts = FACTS, start_s: float = 0.0) -> UnitRow:
    count = (round(seconds * RATE) - 400) // 160 + 1
    return UnitRow(name, np.arange(count) % facts.num_units, facts, start_s)


@pytest.mark.parametrize("runs", [False, True])
def test_jsonl_is_read_as_it_was_written(tmp_path: Path, runs: bool) -> None:
    rows = [UnitRow("a b", np.array([3, 3, 1, 0, 0, 0]), FACTS, 1.5), units_of(0.5, "c")]
    assert write_unit_rows(tmp_path / "x.units", rows, runs=runs) == 2
    for row, found in zip(rows, read_unit_rows(tmp_path / "x.units"), strict=True):
        assert row[0] == found[0]
        assert row[2:] == found[2:]
        np.testing.assert_array_equal(row.units, found.units)


def test_kaldi_text_has_the_numbers_and_the_lengths_of_runs_beside_them(tmp_path: Path) -> None:
    rows = [UnitRow("a", np.array([3, 3, 1, 0, 0, 0]), FACTS), UnitRow("b", np.array([2]), FACTS)]
    write_unit_rows(tmp_path / "x", rows, "kaldi")
    assert (tmp_path / "x").read_text() == "a 3 3 1 0 0 0\nb 2\n"
    write_unit_rows(tmp_path / "x", rows, "kaldi", runs=True)
    assert (tmp_path / "x").read_text() == "a 3 1 0\nb 2\n"
    assert (tmp_path / "x.durations").read_text() == "a 2 1 3\nb 1\n"
    with pytest.raises(ConfigError, match="'a b' has blanks"):
        write_unit_rows(tmp_path / "y", [UnitRow("a b", np.array([0]), FACTS)], "kaldi")


def test_each_frame_has_the_label_of_its_window_as_published(row: Row) -> None:
    labels = UnitLabels("x", [units_of(2.0)])
    cut = row("a", 2 * RATE)
    np.testing.assert_array_equal(labels.of(cut, 99, Hubert()), np.arange(0, 198, 2) % 50)
    # A part that begins at sample 8100 is nearest to the MFCC frame round(8100 / 160).
    part = cut.truncate(offset=8100 / RATE, duration=1.0, preserve_id=True)
    np.testing.assert_array_equal(labels.of(part, 49, Hubert()), (51 + np.arange(0, 98, 2)) % 50)


def test_labels_that_end_first_leave_the_last_frames_without(row: Row) -> None:
    labels = UnitLabels("x", [UnitRow("a", np.arange(46), UnitFacts(50.0, 50))])
    assert len(labels.of(row("a", RATE), 49, Hubert())) == 46


def test_rows_at_another_speed_and_parts_of_recordings_find_their_labels(row: Row) -> None:
    labels = UnitLabels("x", [UnitRow("a", np.arange(100), UnitFacts(50.0, 100), 1.0)])
    part = row("a", 4 * RATE, start=RATE, kept=2 * RATE)
    np.testing.assert_array_equal(labels.of(part, 99, Hubert()), np.arange(99))
    labels.check(part)
    fast = row("a", 2 * RATE).perturb_speed(1.25, affix_id=False)
    found = UnitLabels("x", [UnitRow("a", np.arange(100), UnitFacts(50.0, 100))]).of(fast, 79, Hubert())
    np.testing.assert_allclose(found, np.arange(79) * 1.25, atol=0.51)


def test_labels_of_another_length_or_id_are_an_error(row: Row) -> None:
    labels = UnitLabels("mfcc", [units_of(2.0)])
    labels.check(row("a", 2 * RATE))
    for samples in (RATE, 3 * RATE):
        with pytest.raises(LabelError, match="labels of row a in mfcc are of 0.00 s to 1.98 s, but its sound is of"):
            labels.of(row("a", samples), 40, Hubert())
    with pytest.raises(LabelError, match="of a recording of 4.00 s; write them again from its own sound"):
        labels.check(row("a", 4 * RATE, start=0, kept=RATE))
    with pytest.raises(LabelError, match="Row b has no labels in mfcc, which has 1 rows"):
        labels.check(row("b", RATE))


def test_a_folder_has_the_rows_of_all_its_files(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="There is no"):
        UnitLabels.read(tmp_path / "none")
    with pytest.raises(LabelError, match="has no file"):
        UnitLabels.read(tmp_path)
    for name in "ab":
        write_unit_rows(tmp_path / f"{name}.units", [units_of(1.0, name)])
    labels = UnitLabels.read(tmp_path)
    assert len(labels) == 2
    assert "b" in labels
    assert labels.facts == FACTS
    write_unit_rows(tmp_path / "c.units", [units_of(1.0, "a")])
    with pytest.raises(LabelError, match="has the row a twice"):
        UnitLabels.read(tmp_path)
    write_unit_rows(tmp_path / "c.units", [units_of(1.0, "c", FACTS._replace(num_units=60))])
    with pytest.raises(LabelError, match="row c has other units"):
        UnitLabels.read(tmp_path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 1 is no row of units"),
        ('{"id": "a", "units": [1]}', "KeyError"),
        ('{"id": "a", "units": [7], "rate_hz": 50, "num_units": 7}', "must be numbers from 0 to 6"),
        ('{"id": "a", "units": [], "rate_hz": 50, "num_units": 7}', "must be numbers"),
        ("a 1 2 3", "--format jsonl"),
    ],
)
def test_what_is_no_row_is_an_error_with_its_line(tmp_path: Path, line: str, sentence: str) -> None:
    (tmp_path / "x.units").write_text(line + "\n")
    with pytest.raises(LabelError, match=sentence):
        list(read_unit_rows(tmp_path / "x.units"))
