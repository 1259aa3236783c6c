"""Files of alignments find the recordings that they name, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.tones import tone_row

from audiossl.core.errors import LabelError
from audiossl.data.alignment_files import is_alignment_file, open_alignments
from audiossl.data.textgrid import Interval, write_textgrid


def test_a_folder_of_textgrids_is_by_the_paths_of_recordings(tmp_path: Path) -> None:
    first, second = (tone_row(tmp_path / speaker, "a", ["low", "mid"]) for speaker in ("s1", "s2"))
    grids = tmp_path / "grids"
    for speaker, label in (("s1", "x"), ("s2", "y")):
        (grids / speaker).mkdir(parents=True)
        write_textgrid(grids / speaker / "a.TextGrid", {"phones": [Interval(0.0, 0.5, label)]}, 0.5)
    assert is_alignment_file(str(grids)) and not is_alignment_file("phones")
    found = open_alignments(str(grids), "phones")
    assert [found.of(row).labels for row in (first, second)] == [("x",), ("y",)]  # type: ignore[union-attr]
    assert found.of(tone_row(tmp_path, "b", ["low"])) is None
    lost = tone_row(tmp_path / "s3", "a", ["low", "mid"])
    with pytest.raises(LabelError, match="Row a could be s1/a or s2/a of .*grids; name recordings and"):
        found.of(lost)


def test_a_textgrid_of_another_length_is_of_another_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    write_textgrid(path, {"phones": [Interval(0.0, 0.5, "x")]}, 1.0)
    with pytest.raises(LabelError, match=r"is of 1 s, and recording a lasts 0\.5 s: it is of another recording or"):
        open_alignments(str(path)).of(tone_row(tmp_path, "a", ["low", "mid"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelError, match=r"has no file that ends with \.TextGrid"):
        open_alignments(str(tmp_path / "empty"))


def test_a_table_keeps_its_columns_and_names_recordings(tmp_path: Path) -> None:
    table = tmp_path / "calls.csv"
    table.write_text("path,start,end,label,low_hz,site\na.wav,0.25,0.5,b,100,x\na.wav,0,0.25,a,,y\n")
    row = tone_row(tmp_path, "a", ["low", "mid"])
    found = open_alignments(str(table)).of(row)
    assert found is not None and found.labels == ("a", "b")
    assert [dict(each) for each in found.fields] == [{"site": "y"}, {"low_hz": "100", "site": "x"}]
    (tmp_path / "track.txt").write_text("0.0\t0.5\ta\n")
    with pytest.raises(LabelError, match="does not say of which recording it is"):
        open_alignments(str(tmp_path / "track.txt"))


def test_a_name_that_fits_two_recordings_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "calls.csv"
    table.write_text("path,start,end,label\na.wav,0,0.25,a\n")
    found = open_alignments(str(table))
    first, second = (tone_row(tmp_path / each, "a", ["low", "mid"]) for each in ("s1", "s2"))
    second.recording.id = "s2/a"
    assert found.of(first) is not None
    with pytest.raises(LabelError, match=r"a of .*calls\.csv could be a or s2/a; name recordings by longer paths"):
        found.of(second)
