"""Annotation tables in and out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys.annotations import AUDACITY, CSV, RAVEN

from audiossl.core.errors import ManifestError
from audiossl.data.annotations import Annotation, read_annotations, write_annotations


def test_raven(table: Callable[..., Path]) -> None:
    first, second = read_annotations(table("day1.Table.1.selections.txt", RAVEN))
    assert (first.start_s, first.end_s, first.label, first.path) == (0.5, 0.9, "phee", "")
    assert (second.low_hz, second.high_hz, second.label) == (6000, 8000, 'twitter "short"')
    assert second.where.endswith("line 4")


def test_raven_over_several_files(table: Callable[..., Path]) -> None:
    """Times through all files are turned into times within each."""
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tFile Offset (s)\tBegin File\tSpecies\n"
    text = header + "1\t601.5\t602\t1.5\tb.wav\twren\n"
    (row,) = read_annotations(table("t.txt", text))
    assert (row.start_s, row.end_s, row.path, row.label) == (1.5, 2.0, "b.wav", "wren")


def test_audacity(table: Callable[..., Path]) -> None:
    first, second = read_annotations(table("day1.txt", AUDACITY))
    assert (first.start_s, first.end_s, first.label, first.low_hz, first.high_hz) == (0.5, 0.9, "phee", 5000, 9000)
    assert (second.start_s, second.label, second.low_hz) == (1.25, "twitter", None)


def test_csv_with_names_of_its_own(table: Callable[..., Path]) -> None:
    rows = read_annotations(table("labels.csv", CSV))
    assert [(row.path, row.start_s, row.end_s, row.label) for row in rows] == [
        ("day1.wav", 0.5, 0.9, "phee"),
        ("day1.wav", 1.25, 1.5, "twitter"),
    ]
    assert rows[1].fields == {"caller": "bob"}
    by_caller = read_annotations(table("labels.csv", CSV), columns={"label": "caller"})
    assert [row.label for row in by_caller] == ["ann", "bob"]
    assert by_caller[0].fields == {"calltype": "phee"}


def test_views_of_joined_tables(table: Callable[..., Path]) -> None:
    """The second recording counts its selections anew, and was saved with one view."""
    header = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n"
    lines = [
        "1\tWaveform 1\t1\t1\t1.5\ta.wav\twren",
        "1\tSpectrogram 1\t1\t1\t1.5\ta.wav\twren",
        "1\tSpectrogram 1\t1\t1\t1.5\tb.wav\twren",  # another file
        "1\tSpectrogram 1\t1\t4\t4.5\ta.wav\twren",  # another time
        "1\tSpectrogram 1\t2\t1\t1.5\ta.wav\twren",  # another channel
        "1\tSpectrogram 1\t1\t1\t1.5\ta.wav\trobin",  # another label
    ]
    rows = read_annotations(table("all.txt", header + "\n".join(lines)))
    assert [(row.path, row.start_s, row.channel, row.label) for row in rows] == [
        ("a.wav", 1.0, 1, "wren"),
        ("b.wav", 1.0, 1, "wren"),
        ("a.wav", 4.0, 1, "wren"),
        ("a.wav", 1.0, 2, "wren"),
        ("a.wav", 1.0, 1, "robin"),
    ]


def test_tables_of_birdnet(table: Callable[..., Path]) -> None:
    raven = (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tCommon Name\tSpecies Code\tBegin Path\t"
        "File Offset (s)\n"
        "1\tSpectrogram 1\t1\t3.0\t6.0\tEurasian Wren\twinwre4\tC:\\rec\\u0.wav\t0.0\n"
    )
    (row,) = read_annotations(table("u0.BirdNET.selection.table.txt", raven))
    assert (row.start_s, row.end_s, row.label) == (0.0, 3.0, "Eurasian Wren")
    results = "Start (s),End (s),Scientific name,Common name,Confidence,File\n0.0,3.0,T. t.,Eurasian Wren,0.8,u0.wav\n"
    (row,) = read_annotations(table("u0.csv", results))
    assert (row.start_s, row.end_s, row.label, row.path) == (0.0, 3.0, "Eurasian Wren", "u0.wav")


def test_decimal_commas(table: Callable[..., Path]) -> None:
    track = "0,100000\t0,500000\tWren\n\\\t500,0\t1000,0\n1,0\t2,0\ta\u2028b\n"
    first, second = read_annotations(table("u0.txt", track))
    assert (first.start_s, first.end_s, first.low_hz, second.label) == (0.1, 0.5, 500.0, "a\u2028b")
    (row,) = read_annotations(table("u.csv", "file;start;end;label\na.wav;0,5;1;x\n"))
    assert (row.start_s, row.path) == (0.5, "a.wav")


def test_columns_can_be_left_out(table: Callable[..., Path]) -> None:
    path = table("l.csv", "path,start,end,label,split\na.wav,0,1,x,train\n")
    assert read_annotations(path)[0].fields == {"split": "train"}
    assert read_annotations(path, columns={"split": ""})[0].fields == {}
    assert read_annotations(table("r.txt", RAVEN), columns={"channel": ""})[0].channel is None


labels = st.text(st.characters(blacklist_categories=("C", "Z"), blacklist_characters='"\\'), min_size=1, max_size=8)
times = st.integers(0, 10**7).map(lambda value: value / 1000)


@given(st.lists(st.tuples(times, st.integers(1, 5000), labels, st.booleans()), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("kind", ["raven", "audacity", "csv", "rttm"])
def test_what_is_written_is_read(kind, tmp_path_factory, found) -> None:  # type: ignore[no-untyped-def]
    rows = [
        Annotation(
            start, start + length / 1000, label, "a.wav", *((500.0, 2000.0) if band else (None, None)), score=0.25
        )
        for start, length, label, band in found
    ]
    path = tmp_path_factory.mktemp("out") / "table.txt"
    again = read_annotations(write_annotations(path, rows, kind, highest_hz=4000))
    assert [row.label for row in again] == [row.label for row in rows]
    assert [row.start_s for row in again] == pytest.approx([row.start_s for row in rows], abs=1e-6)
    assert [row.end_s for row in again] == pytest.approx([row.end_s for row in rows], abs=1e-6)
    if kind == "raven":
        assert [row.high_hz for row in again] == [row.high_hz or 4000 for row in rows]
        assert again[0].fields["Score"] == "0.2500"
    elif kind == "rttm":
        assert {(row.path, row.score, row.high_hz) for row in again} == {("a", 0.25, None)}
    else:
        assert [row.high_hz for row in again] == [row.high_hz for row in rows]


def test_rttm_of_others(table: Callable[..., Path]) -> None:
    text = (
        ";; made by a diariser\nSPKR-INFO day1 1 <NA> <NA> <NA> unknown anna <NA>\n"
        "SPEAKER day1 1 0.50 1.25 <NA> <NA> anna <NA> <NA>\nSPEAKER day1 2 3 0.5 <NA> <NA> bert 0.75\n"
    )
    first, second = read_annotations(table("day1.rttm", text))
    assert (first.start_s, first.end_s, first.label, first.path, first.channel) == (0.5, 1.75, "anna", "day1", None)
    assert (second.start_s, second.end_s, second.channel, second.score) == (3, 3.5, 2, 0.75)


def test_a_name_of_two_words_is_not_for_rttm(tmp_path: Path) -> None:
    for row, what in (
        (Annotation(0, 1, "great tit", "a.wav"), "label"),
        (Annotation(0, 1, "x", "day 1.wav"), "file name"),
    ):
        with pytest.raises(ManifestError, match=f"The {what} '.*' is not one word"):
            write_annotations(tmp_path / "t.rttm", [row], "rttm")


def test_a_label_that_a_tab_separated_table_cannot_hold(tmp_path: Path) -> None:
    rows = [Annotation(0, 1, "a\tb")]
    with pytest.raises(ManifestError, match=r"'a\\tb' has a tab"):
        write_annotations(tmp_path / "t.txt", rows, "audacity")
    assert read_annotations(write_annotations(tmp_path / "t.csv", rows, "csv"), "csv")[0].label == "a\tb"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("none.txt", None, {}, r"There is no annotation table .*none\.txt"),
        ("empty.txt", "\n", {}, r"empty\.txt is empty"),
        (
            "latin.csv",
            "path,start,end,label\na.wav,0,1,étourneau\n".encode("latin-1"),
            {},
            r"not text in utf-8 .*latin-1",
        ),
        ("utf16.csv", CSV.encode("utf-16"), {}, r"not text in utf-8"),
        ("a.csv", CSV, {"encoding": "utf-99"}, r"no encoding 'utf-99'"),
        ("swapped.csv", "path,start,end,label\na.wav,2,1,x\n", {}, r"swapped\.csv line 2: the end, 1 s, is not after"),
        ("point.txt", "1.0\t1.0\tx\n", {}, r"point\.txt line 1 is a label at a point, 1 s, .*region"),
        ("early.csv", "path,start,end,label\na.wav,-1,1,x\n", {}, r"line 2: the start, -1 s, is before"),
        ("word.csv", "path,start,end,label\na.wav,soon,1,x\n", {}, r"line 2: start is 'soon', not a number"),
        ("nan.csv", "path,start,end,label\na.wav,0,nan,x\n", {}, r"end is 'nan', not a number"),
        ("bare.csv", "path,start,end,label\na.wav,0,1,\n", {}, r"line 2 has no label"),
        ("short.csv", "path,start,end,label\na.wav,0,1\n", {}, r"line 2 does not have the 4 fields"),
        ("other.csv", "path,start,end,what\na.wav,0,1,x\n", {}, r"no column for the label .*as --column label=NAME\."),
        ("a.csv", CSV, {"columns": {"label": "calltyp"}}, r"no column 'calltyp'. Did you mean calltype"),
        (
            "a.csv",
            CSV,
            {"columns": {"lable": "calltype"}},
            r"'lable' is no column of an annotation. Did you mean label",
        ),
        ("a.txt", AUDACITY, {"columns": {"label": "x"}}, r"label track of Audacity, which has no named columns"),
        ("prose.txt", "0.1\t0.2\tx\ndear reader\n", {}, r"prose\.txt line 2 is not `start TAB end TAB label`"),
        ("c.txt", RAVEN.replace("\t1\t0.5", "\t0\t0.5"), {}, r"line 2: the channel 0 is no whole number from 1"),
        ("open.csv", 'path,start,end,label\na.wav,0,1,"x\n', {}, r"line 2: a quotation mark is not closed"),
        (
            "a.rttm",
            "SPEAKER a 1 0 1 <NA> <NA> x <NA> <NA>\nSPEAKER a 1 0 1\n",
            {},
            r"line 2 is not `SPEAKER file channel",
        ),
        ("b.rttm", "SPEAKER a 1 0 0 <NA> <NA> x <NA> <NA>\n", {}, r"line 1: the end, 0 s, is not after the start"),
        ("c.rttm", "SPEAKER a 0 0 1 <NA> <NA> x <NA> <NA>\n", {}, r"line 1: the channel 0 is no whole number"),
        ("a.csv", CSV, {"kind": "ravn"}, r"'ravn' is no kind of annotation table. Did you mean raven"),
    ],
)
def test_bad_tables(table, tmp_path, name, content, options, message) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / name if content is None else table(name, content)
    with pytest.raises(ManifestError, match=message):
        read_annotations(path, **options)


def test_another_encoding(table: Callable[..., Path]) -> None:
    path = table("latin.csv", "path,start,end,label\na.wav,0,1,étourneau\n".encode("latin-1"))
    assert read_annotations(path, encoding="latin-1")[0].label == "étourneau"
    assert read_annotations(table("bom.csv", "\ufeff" + CSV))[0].label == "phee"
    assert read_annotations(table("wide.csv", CSV.encode("utf-16")), encoding="utf-16")[1].label == "twitter"
