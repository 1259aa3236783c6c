"""Rows of a pandas frame. Those of a `datasets.Dataset` are in test_hugging_face.py."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import read_field
from audiossl.data.frames import TableReading, is_dataset, is_table
from audiossl.data.reading import read_cut
from audiossl.data.sound_folder import SoundFolder

pandas = pytest.importorskip("pandas")
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 800).astype(np.float32)


def reading(folder, **columns):
    return TableReading(SoundFolder(folder / "audio"), columns, folder)


def test_paths_and_what_is_known_of_them(sound, tmp_path):
    path = sound("ü/a.wav", 16000)
    frame = pandas.DataFrame(
        {
            "audio": [path, "ü/a.wav"],
            "start_time": [0.25, np.nan],
            "end_time": [0.5, None],
            "label": [3, 4],
            "text": ["hi", None],
            "speaker": pandas.array([1, None], dtype="Int64"),
            "split": ["train", "validation"],
            7: ["x", "y"],
        },
        index=[5, 9],
    )
    assert is_table(frame)
    found = reading(tmp_path).cuts(frame, "the table")
    (first,), (second,) = found["train"], found["dev"]
    assert (first.start, first.duration, second.id, second.duration) == (0.25, 0.25, "ü/a", 1.0)
    fields = ("label", "text", "speaker", "7")
    assert [read_field(first, name) for name in fields] == ["3", "hi", "1", "x"]
    assert [read_field(second, name) for name in fields] == ["4", None, None, "y"]


def test_an_index_of_opensoundscape(sound, tmp_path):
    sound("a.wav", 16000)
    index = pandas.MultiIndex.from_tuples(
        [("a.wav", 0, 0.5), ("a.wav", 0.5, 1)], names=["file", "start_time", "end_time"]
    )
    cuts = reading(tmp_path).cuts(pandas.DataFrame({"owl": [True, False]}, index=index), "the table")["all"]
    assert [(cut.id, read_field(cut, "owl")) for cut in cuts] == [("a-0.000-0.500", "True"), ("a-0.500-1.000", "False")]


def test_samples_have_the_rate_of_their_row(tmp_path):
    frame = pandas.DataFrame({"id": ["x", "y"], "audio": [NOISE, NOISE], "sampling_rate": [8000, 16000]})
    cuts = list(reading(tmp_path).cuts(frame, "the table")["all"])
    assert [(cut.id, cut.sampling_rate) for cut in cuts] == [("x", 8000), ("y", 16000)]
    for cut in cuts:
        np.testing.assert_array_equal(read_cut(cut, cut.sampling_rate), NOISE)
    unnamed = reading(tmp_path).cuts(frame.drop(columns="id"), "the table")["all"]
    assert [cut.id for cut in unnamed] == ["00000000", "00000001"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"audio": ["a.wav", None]}, "the table row 1 has no sound"),
        ({"audio": ["a.wav", NOISE]}, "the table row 1 has samples without their rate"),
        ({"audio": ["a.wav", "lost.wav"]}, r"the table row 1: .*lost\.wav is missing"),
        ({"audio": ["a.wav", "a.wav"]}, r"the table row 1: a is there already \(the table row 0\)"),
        (
            {"audio": ["a.wav", "a.wav"], "start": [0, 9.5], "end": [0.1, 10]},
            "the table row 1: start 9.5 s .* is no part",
        ),
        ({"audio": ["a.wav", "a.wav"], "start": [0, "x"], "end": [0.1, 0.2]}, "the table row 1: start is 'x'"),
    ],
)
def test_what_cannot_be_used_is_named(sound, tmp_path, columns, message):
    sound("a.wav")
    frame = pandas.DataFrame(columns)
    with pytest.raises((AudioError, ManifestError), match=message):
        reading(tmp_path).cuts(frame, "the table")
    bad = BadRows(skip=True)
    how = TableReading(SoundFolder(tmp_path / "audio"), {}, tmp_path, bad)
    assert len(how.cuts(frame, "the table")["all"]) == 1
    assert list(bad.left_out) == ["the table row 1"]


def test_columns_that_are_not_there(tmp_path):
    with pytest.raises(ManifestError, match="the table has no column 'path'"):
        reading(tmp_path).cuts(pandas.DataFrame({"label": [1]}), "the table")
    with pytest.raises(ManifestError, match="the table has no column 'key'"):
        reading(tmp_path, id="key").cuts(pandas.DataFrame({"path": ["a.wav"]}), "the table")
    with pytest.raises(ManifestError, match="'lable' is no column"):
        reading(tmp_path, lable="x").cuts(pandas.DataFrame({"path": ["a.wav"]}), "the table")
    twice = pandas.DataFrame([["a.wav", 1, 2]], columns=["path", "label", "label"])
    with pytest.raises(ManifestError, match="the table has the column 'label' twice"):
        reading(tmp_path).cuts(twice, "the table")
    with pytest.raises(ManifestError, match="the table has no row"):
        reading(tmp_path).cuts(pandas.DataFrame({"path": []}), "the table")
    assert not is_table([1])
    assert not is_dataset(pandas.DataFrame())
