"""Segments are the same from every source, know their columns, and lie within their recording."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from toys.tones import ctm, tone_row

from audiossl.core.errors import LabelError
from audiossl.data.frame_labels import write_frame_labels
from audiossl.data.segments import Segment, by_recording, column_of, read_segments
from audiossl.data.textgrid import Interval, write_textgrid

LABELS = ["low", "mid", "mid", "high"]
SPANS = [(0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)]


def test_every_source_gives_the_same_segments(tmp_path: Path) -> None:
    row = tone_row(tmp_path, "a", LABELS)
    grid = tmp_path / "a.TextGrid"
    intervals = [Interval(*span, label) for span, label in zip(SPANS, LABELS, strict=True)]
    write_textgrid(grid, {"tones": intervals}, 1.0)
    table = tmp_path / "a.csv"
    lines = [f"a.wav,{start},{end},{label}" for (start, end), label in zip(SPANS, LABELS, strict=True)]
    table.write_text("\n".join(["path,start,end,label", *lines]))
    for alignment in ("", "tones", str(ctm(tmp_path / "a.ctm", row)), str(grid), str(table)):
        found = read_segments([row], alignment)
        assert [(each.start_s, each.end_s) for each in found] == SPANS, alignment
        assert [(each.recording, each.label, each.speaker) for each in found] == [("a", each, "a") for each in LABELS]
    assert [each.label for each in read_segments([row], ignored=["mid"])] == ["low", "high"]


def test_frame_labels_are_runs(tmp_path: Path) -> None:
    row = tone_row(tmp_path, "a", LABELS)
    (named,) = write_frame_labels([(row, np.repeat([0, 1, 1, 2], 25))], "frames", 100.0, tmp_path / "labels")
    expected = [(0.0, 0.25, "0"), (0.25, 0.75, "1"), (0.75, 1.0, "2")]
    assert [each[1:4] for each in read_segments([named], "frames")] == expected
    part = named.truncate(offset=0.255, duration=0.6, preserve_id=True)
    found = read_segments([part], "frames")
    assert [each.label for each in found] == ["1", "2"]
    assert [each[1:3] for each in found] == [pytest.approx((0.0, 0.495)), pytest.approx((0.495, 0.6))]


def test_a_part_of_a_recording_has_its_own_segments(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = tone_row(tmp_path, "a", LABELS)
    part = row.truncate(offset=0.3, duration=0.5, preserve_id=True)
    for alignment in ("tones", str(ctm(tmp_path / "a.ctm", row))):
        with caplog.at_level(logging.WARNING):
            (found,) = read_segments([part], alignment)
        assert found[:4] == ("a", pytest.approx(0.2), pytest.approx(0.45), "mid")
        assert "2 segment(s) of the manifest are cut by the edge of their row and are left out." in caplog.text
    fast = row.perturb_speed(1.25, affix_id=False)
    assert read_segments([fast], str(ctm(tmp_path / "a.ctm", row)))[1].end_s == pytest.approx(0.4)


def test_columns_come_from_the_alignment_and_from_the_row(tmp_path: Path) -> None:
    row = tone_row(tmp_path, "a", LABELS)
    row.supervisions[0].custom = {"age": 7}
    table = tmp_path / "a.csv"
    table.write_text("path,start,end,label,site\na.wav,0,0.5,x,north\n")
    (found,) = read_segments([row], str(table))
    assert (found.column("age"), found.column("site"), found.column("recording")) == ("7", "north", "a")
    assert column_of([found], "site", "groups") == ["north"]
    with pytest.raises(LabelError, match="The segment 'x' at 0 s of a has no 'sites', which is needed for groups. Did"):
        column_of([found], "sites", "groups")
    others = [Segment("b", 0, 1, "x"), found, Segment("b", 1, 2, "y")]
    assert [(name, len(rows)) for name, rows in by_recording(others)] == [("b", 2), ("a", 1)]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            "a 1 0.9 0.4 x\nb 1 0 1 x\n",
            r"The segment 'x' at 0\.9 s of row a ends at 1\.3 s, outside its recording",
        ),
        ("a 1 2.5 0.4 x\nb 1 0 1 x\n", "of another recording or another rate"),
        ("a 1 0.5 0.0 x\nb 1 0 1 x\n", "lasts no time"),
        ("c 1 0.0 0.5 x\n", r"has none of the 2 rows of the manifest, a for instance \(but for instance c\)"),
        ("a 1 0.0 0.5 x\n", "lacks 1 of the 2 rows of the manifest, b for instance; align them too"),
        ("a 1 0.0 0.5 sil\nb 1 0 0.5 sil\n", "has no segment but ignored ones"),
    ],
)
def test_other_alignments_are_an_error(tmp_path: Path, lines: str, sentence: str) -> None:
    rows = [tone_row(tmp_path, name, LABELS) for name in ("a", "b")]
    path = tmp_path / "a.ctm"
    path.write_text(lines)
    with pytest.raises(LabelError, match=sentence):
        read_segments(rows, str(path), ignored=["sil"])


def test_rows_may_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [tone_row(tmp_path, name, LABELS) for name in ("a", "b")]
    with caplog.at_level(logging.WARNING):
        found = read_segments(rows, str(ctm(tmp_path / "a.ctm", rows[0])), partial=True)
    assert {each.recording for each in found} == {"a"}
    assert "1 of the 2 rows of the manifest have no alignment and are left out, b the first." in caplog.text
