"""Annotations become rows: calls, windows, splits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from toys.annotations import AUDACITY, CSV, RAVEN

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.annotated import Windows, cuts_of_calls, cuts_of_windows, located, read_tables
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.fields import read_field, read_labels
from audiossl.data.reading import read_cut


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


def test_a_recording_is_found_by_its_name_without_the_ending(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = day("archive/day[1].wav")
    rttm = table("all.rttm", "SPEAKER day[1] 1 0.5 1 <NA> <NA> anna <NA> <NA>\n")
    (call,) = located(read_annotations(rttm), root=tmp_path)
    assert call.path == str(path)


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


def test_a_call_is_read_from_its_channel(table, sound, tmp_path) -> None:  # type: ignore[no-untyped-def]
    sides = np.stack([np.full(16000, 0.25, np.float32), np.full(16000, -0.5, np.float32)], axis=1)
    sound("pair.wav", sides, 8000, "FLOAT")
    sound("mono.wav", 16000, 8000)
    header = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n"
    text = header + "1\tSpectrogram 1\t1\t0.5\t1\tWren\n2\tSpectrogram 1\t2\t0.5\t1\tWren\n"
    path = table("pair.Table.1.selections.txt", text)
    found, _ = read_tables([path], root=tmp_path)
    cuts = list(cuts_of_calls(found, tmp_path)["all"])
    assert [cut.id for cut in cuts] == ["pair-0.500-1.000-channel1", "pair-0.500-1.000-channel2"]
    assert [read_cut(cut, 8000)[0] for cut in cuts] == [0.25, -0.5]
    assert read_field(cuts[0], "channel") is None
    with pytest.raises(ManifestError, match=r"line 3: channel 2 of .*mono\.wav, which has 1; .*--column channel="):
        read_tables([path], root=tmp_path, audio=tmp_path / "mono.wav")
    found, _ = read_tables([path], root=tmp_path, columns={"channel": ""})
    with pytest.raises(ManifestError, match="the same annotation is there already"):
        cuts_of_calls(found, tmp_path)


def test_a_table_without_a_row_is_of_a_recording_without_a_call(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    day()
    silent = day("day2.wav")
    tables = [table("day1.txt", AUDACITY), table("day2.Table.1.selections.txt", RAVEN.split("\n")[0] + "\n")]
    found, others = read_tables(tables, root=tmp_path)
    assert others == {tables[1]: str(silent)}
    cuts = cuts_of_windows(found, Windows(), others.values(), tmp_path)["all"]
    assert [read_labels(cut, "label") for cut in cuts if cut.recording.id == "day2"] == [[], [], []]
    with pytest.raises(ManifestError, match=r"night\.Table\.txt names no recording"):
        read_tables([table("night.Table.txt", RAVEN.split("\n")[0])], root=tmp_path)


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
