"""Annotation tables in and out, and the manifests that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from audiossl.cli.data import app
from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.annotated import Windows, cuts_of_calls, cuts_of_windows, located
from audiossl.data.annotations import Annotation, read_annotations, write_annotations
from audiossl.data.fields import read_field, read_labels
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_cut

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
    "1\tWaveform 1\t1\t0.5\t0.9\t0.0\t16000.0\tphee\n"
    "1\tSpectrogram 1\t1\t0.5\t0.9\t5000.0\t9000.0\tphee\n"
    '2\tSpectrogram 1\t1\t1.25\t1.5\t6000.0\t8000.0\ttwitter "short"\n'
)
AUDACITY = "0.500000\t0.900000\tphee\n\\\t5000.000000\t9000.000000\n1.250000\t1.500000\ttwitter\n"
CSV = "file,onset,offset,calltype,caller\nday1.wav,0.5,0.9,phee,ann\nday1.wav,1.25,1.5,twitter,bob\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def day(tmp_path: Path) -> Callable[..., Path]:
    """A recording of noise."""

    def write(name: str = "day1.wav", seconds: float = 2.0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * 8000))
        soundfile.write(path, samples, 8000, subtype="PCM_16")
        return path

    return write


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


labels = st.text(st.characters(blacklist_categories=("C", "Z"), blacklist_characters='"\\'), min_size=1, max_size=8)
times = st.integers(0, 10**7).map(lambda value: value / 1000)


@given(st.lists(st.tuples(times, st.integers(1, 5000), labels, st.booleans()), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("kind", ["raven", "audacity", "csv"])
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
    else:
        assert [row.high_hz for row in again] == [row.high_hz for row in rows]


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
        ("point.txt", "1.0\t1.0\tx\n", {}, r"point\.txt line 1: the end, 1 s, is not after the start"),
        ("early.csv", "path,start,end,label\na.wav,-1,1,x\n", {}, r"line 2: the start, -1 s, is before"),
        ("word.csv", "path,start,end,label\na.wav,soon,1,x\n", {}, r"line 2: start is 'soon', not a number"),
        ("nan.csv", "path,start,end,label\na.wav,0,nan,x\n", {}, r"end is 'nan', not a number"),
        ("bare.csv", "path,start,end,label\na.wav,0,1,\n", {}, r"line 2 has no label"),
        ("short.csv", "path,start,end,label\na.wav,0,1\n", {}, r"line 2 does not have the 4 fields"),
        ("other.csv", "path,start,end,what\na.wav,0,1,x\n", {}, r"no column for the label .*label='what'"),
        ("a.csv", CSV, {"columns": {"label": "calltyp"}}, r"no column 'calltyp'. Did you mean calltype"),
        (
            "a.csv",
            CSV,
            {"columns": {"lable": "calltype"}},
            r"'lable' is no column of an annotation. Did you mean label",
        ),
        ("a.txt", AUDACITY, {"columns": {"label": "x"}}, r"label track of Audacity, which has no named columns"),
        ("prose.txt", "0.1\t0.2\tx\ndear reader\n", {}, r"prose\.txt line 2 is not `start TAB end TAB label`"),
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


def test_recordings_are_found_by_the_name_of_the_table(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    wav = day("sound/day1.wav")
    for name, content in (("day1.Table.1.selections.txt", RAVEN), ("day1.txt", AUDACITY)):
        path = table(name, content)
        rows = located(read_annotations(path), root=tmp_path, table=path)
        assert {row.path for row in rows} == {str(wav)}
    rows = located(read_annotations(table("labels.csv", CSV)), root=tmp_path)
    assert {row.path for row in rows} == {str(wav)}  # by its name below the root
    day("copy/day1.wav")
    with pytest.raises(ManifestError, match=r"'day1\.wav': 2 files have that name"):
        located(rows := read_annotations(tmp_path / "labels.csv"), root=tmp_path)
    with pytest.raises(ManifestError, match=r"could be of .* or of"):
        located(read_annotations(path), root=tmp_path, table=path)
    assert rows


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("day1.wav,1.5,2.2,x", r"line 2: 1\.5 s to 2\.2 s is outside .*day1\.wav, which lasts 2\.000 s"),
        ("day1.wav,5,6,x", r"line 2: 5 s to 6 s is outside"),
        ("day2.wav,0,1,x", r"line 2: 'day2\.wav': there is no such sound file below"),
    ],
)
def test_annotations_must_lie_in_a_recording(table, day, tmp_path, row, message) -> None:  # type: ignore[no-untyped-def]
    day()
    rows = read_annotations(table("labels.csv", f"path,start,end,label\n{row}\n"))
    with pytest.raises(ManifestError, match=message):
        located(rows, root=tmp_path)


def test_a_damaged_recording_is_named_with_the_line(table, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "day1.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"labels\.csv line 2: .*day1\.wav cannot be read as sound"):
        located(read_annotations(table("labels.csv", CSV)), root=tmp_path)


def test_an_end_within_rounding_is_the_recordings_end(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    day()
    (row,) = located(read_annotations(table("t.csv", "path,start,end,label\nday1.wav,1,2.01,x\n")), root=tmp_path)
    assert row.end_s == 2.0


def test_a_row_for_each_call(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    wav = day()
    rows = located(read_annotations(table("labels.csv", CSV)), root=tmp_path)
    again = [*rows, Annotation(1.25, 1.5, "trill", str(wav), 5000, 7000)]
    cuts = list(cuts_of_calls(again, tmp_path)["all"])
    assert [cut.id for cut in cuts] == ["day1-0.500-0.900", "day1-1.250-1.500", "day1-1.250-1.500-2"]
    assert [read_field(cut, "label") for cut in cuts] == ["phee", "twitter", "trill"]
    assert [read_field(cut, "caller") for cut in cuts] == ["ann", "bob", None]
    assert read_field(cuts[2], "low_hz") == "5000"
    samples, _ = soundfile.read(wav, dtype="float32")
    np.testing.assert_array_equal(read_cut(cuts[0], 8000), samples[4000:7200])
    with pytest.raises(ManifestError, match=r"labels\.csv line 2: the same annotation is there already"):
        cuts_of_calls([rows[0], rows[0]])


def test_splits_of_the_table_are_kept(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    day()
    day("day2.wav")
    text = "path,start,end,label,split\nday1.wav,0,1,a,train\nday2.wav,0,1,b,test\n"
    rows = located(read_annotations(table("labels.csv", text)), root=tmp_path)
    assert set(cuts_of_calls(rows)) == {"train", "test"}
    windows = cuts_of_windows(rows, Windows())
    assert {split: len(cuts) for split, cuts in windows.items()} == {"train": 3, "test": 3}


def test_windows_over_a_recording(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """2 s, windows of 0.6 s every 0.4 s: the last one is moved back to end with the recording."""
    day()
    day("silent.wav", 1.0)
    rows = located(read_annotations(table("labels.csv", CSV)), root=tmp_path)
    cuts = list(cuts_of_windows(rows, Windows(0.6, 0.4, 0.5), [tmp_path / "silent.wav"], tmp_path)["all"])
    mine = [cut for cut in cuts if cut.recording.id.endswith("day1")]
    assert [(round(cut.start, 3), round(cut.end, 3)) for cut in mine] == [
        (0.0, 0.6),
        (0.4, 1.0),
        (0.8, 1.4),
        (1.2, 1.8),
        (1.4, 2.0),
    ]
    # phee (0.4 s) is in the first with 0.1 s, in the second whole, in the third with 0.1 s; twitter (0.25 s) in the
    # third with 0.15 s, in the fourth whole, in the last with 0.1 s.
    assert [read_labels(cut, "label") for cut in mine] == [[], ["phee"], ["twitter"], ["twitter"], []]
    assert mine[1].supervisions[0].custom["calls"] == [[0.5, 0.9, "phee"]]
    other = [cut for cut in cuts if cut.recording.id.endswith("silent")]
    assert [read_labels(cut, "label") for cut in other] == [[], []]
    assert read_labels(mine[0], "species") is None


def test_a_call_longer_than_a_window_is_in_those_that_it_fills() -> None:
    call = [Annotation(0.2, 5.0, "song")]
    windows = Windows(1.0, 0.5, 0.8)
    assert [windows.labels(start, end, call) for start, end in windows.spans(3.0)] == [["song"]] * 5
    assert Windows(1.0, 0.5, 0.9).labels(0.0, 1.0, call) == []


def test_both_labels_of_calls_at_once(day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = str(day())
    both = [Annotation(0.1, 0.5, "b", path), Annotation(0.2, 0.6, "a", path), Annotation(0.2, 0.6, "a", path)]
    first = next(iter(cuts_of_windows(both, Windows())["all"]))
    assert read_field(first, "label") == "a|b"
    with pytest.raises(ManifestError, match=r"'a\|b' has a \|"):
        cuts_of_windows([Annotation(0, 1, "a|b", path, where="t.csv line 2")], Windows())


def test_recording_shorter_than_a_window(day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = str(day(seconds=0.4))
    call = [Annotation(0.1, 0.3, "a", path)]
    with pytest.raises(ManifestError, match=r"day1\.wav lasts 0\.400 s, less than a window of 1 s.*short=keep"):
        cuts_of_windows(call, Windows())
    (kept,) = cuts_of_windows(call, Windows(short="keep"))["all"]
    assert (kept.start, kept.duration, read_labels(kept, "label")) == (0.0, 0.4, ["a"])
    for wrong in ({"hop_s": 2.0}, {"window_s": 0.0}, {"min_overlap": 0.0}, {"short": "pad"}):
        with pytest.raises(ManifestError, match=next(iter(wrong))):
            Windows(**wrong)  # type: ignore[arg-type]


@given(st.floats(0.3, 50), st.floats(0.1, 5), st.floats(0.1, 1.0))
@settings(max_examples=100, deadline=None)
def test_windows_cover_a_recording_and_stay_inside(duration_s: float, window_s: float, share: float) -> None:
    windows = Windows(window_s, window_s * share, short="keep")
    spans = windows.spans(duration_s)
    assert spans[0][0] == 0.0
    assert spans[-1][1] == pytest.approx(duration_s, abs=2e-3)
    assert all(start >= 0 and end <= duration_s + 1e-3 for start, end in spans)
    assert all(later[0] <= earlier[1] + 1e-6 for earlier, later in pairwise(spans))
    assert all(later[0] > earlier[0] for earlier, later in pairwise(spans))


def test_commands(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    day()
    path, out = table("day1.Table.1.selections.txt", RAVEN), tmp_path / "out"
    run = CliRunner().invoke
    done = run(
        app, ["from-annotations", str(path), "--out", str(out), "--rows", "calls", "--audio-root", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert [read_field(cut, "label") for cut in read_manifest(out / "all.jsonl.gz")] == ["phee", 'twitter "short"']
    windows = ["--rows", "windows", "--window-s", "0.5", "--hop-s", "0.25", "--audio-root", str(tmp_path)]
    assert run(app, ["from-annotations", str(path), "--out", str(out), *windows]).exit_code == 0
    cuts = read_manifest(out / "all.jsonl.gz")
    twitter = ['twitter "short"']
    assert [read_labels(cut, "label") for cut in cuts] == [[], ["phee"], ["phee"], [], twitter, twitter, []]
    split = ["split", str(out / "all.jsonl.gz"), "--out", str(tmp_path / "split"), "--by", "item"]
    assert run(app, split).exit_code == 0
    assert sum(len(read_manifest(tmp_path / "split" / f"{name}.jsonl.gz")) for name in ("train", "dev", "test")) == 7
