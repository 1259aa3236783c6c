"""Making cut sets of tables and folders."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from audiossl.core.errors import AudiosslError, ManifestError
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_cut
from audiossl.data.sources import cuts_from_csv, cuts_from_folder


@pytest.fixture
def table(tmp_path, sound):
    """Writes a table beside two sounds, a.wav (0.5 s at 16 kHz) and sub/b.flac (1 s at 8 kHz)."""
    sound("a.wav", 8000)
    sound("sub/b.flac", 8000, 8000)

    def write(text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_every_column_arrives(table, tmp_path):
    text = 'path,speaker,label,transcript,language,split,mood\na.wav,Zoë,dog,"hi, you",en,dev,calm\nsub/b.flac,,,,,,\n'
    for encoding in ("utf-8", "utf-8-sig"):
        splits = cuts_from_csv(table(text, encoding=encoding))
        assert set(splits) == {"dev", "all"}
        (cut,) = splits["dev"]
        (supervision,) = cut.supervisions
        assert (cut.id, cut.duration, cut.num_samples) == ("a", 0.5, 8000)
        assert cut.recording.sources[0].source == str(tmp_path / "a.wav")
        assert (supervision.speaker, supervision.text, supervision.language) == ("Zoë", "hi, you", "en")
        assert supervision.custom == {"label": "dog", "mood": "calm"}
        (other,) = splits["all"]
        assert (other.id, other.sampling_rate) == ("sub/b", 8000)
        assert "label" not in other.supervisions[0].custom
        assert other.supervisions[0].speaker is None


def test_parts_of_one_file(table):
    cuts = cuts_from_csv(table("path,start,end,duration\nsub/b.flac,0,0.25,1\nsub/b.flac,0.25,1.0004,0.75\n"))["all"]
    assert [(cut.id, cut.start, cut.num_samples) for cut in cuts] == [
        ("sub/b-0.000-0.250", 0.0, 2000),
        ("sub/b-0.250-1.000", 0.25, 6000),
    ]
    assert [len(read_cut(cut, 16000)) for cut in cuts] == [4000, 12000]
    (cut,) = cuts_from_csv(table("path,start,duration\nsub/b.flac,0.5,0.25\n"))["all"]
    assert (cut.start, cut.duration) == (0.5, 0.25)


def test_other_column_names_and_another_root(table, tmp_path):
    path = table("filename,category\nb.flac,bird\n")
    columns = {"path": "filename", "label": "category"}
    (cut,) = cuts_from_csv(path, audio_root=tmp_path / "sub", columns=columns)["all"]
    assert (cut.id, cut.supervisions[0].custom) == ("b", {"label": "bird"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.wav\n", r"has no column 'path' \(its header: file\)"),
        ("", r"has no column 'path' \(its header: none\)"),
        ("path\n", "has no row"),
        ("path,label\na.wav\n", "line 2 does not have the 2 fields"),
        ("path,label\na.wav,x,y\n", "line 2 does not have the 2 fields"),
        ("path,label\n,x\n", "line 2 has no path"),
        ("path\na.wav\nlost.wav\n", r"line 3: .*lost\.wav is missing"),
        ("path\na.wav\na.wav\n", r"line 3: a is there already \(.* line 2\), a duplicate"),
        ("path,duration\na.wav,2\n", r"line 2: duration says 2 s, but .*a\.wav lasts 0\.500 s"),
        ("path,sample_rate\na.wav,8000\n", r"line 2: sample_rate says 8000 Hz, but .*a\.wav has 16000 Hz"),
        ("path,start,end\na.wav,0.1,0.9\n", r"line 2: start 0\.1 s to end 0\.9 s is no part of .*a\.wav"),
        ("path,start,end\na.wav,0.3,0.1\n", r"line 2: start 0\.3 s to end 0\.1 s is no part"),
        ("path,start,end\na.wav,-1,0.1\n", r"line 2: start -1 s .* is no part"),
        ("path,start\na.wav,soon\n", "line 2: start is 'soon', not a number"),
        ("path,end\na.wav,nan\n", "line 2: end is 'nan', not a number"),
        ('path,label\na.wav,"dog\nsub/b.flac,cat\n', "line 2: a quotation mark is not closed"),
        (
            'path,label\na.wav,"dog\nsub/b.flac,"\n',
            "line 2: a text in quotation marks goes on to line 3",
        ),
        ("path,label,label\na.wav,x,y\n", "has the column 'label' 2 times"),
        ('path,end\na.wav,"0,3"\n', "line 2: end is '0,3', not a number; write a decimal point"),
        ("path;end\na.wav;0,3\nsub/b.flac;0.3\n", r"line 3: end is '0\.3' with a point, unlike .* line 2"),
        (
            "path,split\na.wav,dev\nsub/b.flac,val\n",
            r"line 3: the split 'val' and the split 'dev' \(.* line 2\)",
        ),
        ("path\n" + "y" * 300 + ".wav\n", r"line 2: .*y\.wav is missing"),
        ("path,split\na.wav," + "s" * 300 + "\n", "cannot be the name of a file"),
        ("path,label\na.wav,x\0\n", "line 2 has a NUL character"),
        ("path,split\na.wav,../x\n", r"line 2: the split '\.\./x' cannot be the name of a file"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(table, text, message):
    path = table(text, name="wrong.csv")
    with pytest.raises(AudiosslError, match=rf"wrong\.csv .*{message}|wrong\.csv {message}"):
        cuts_from_csv(path)


def test_tables_that_are_none(table, tmp_path):
    with pytest.raises(ManifestError, match=r"There is no table .*lost\.csv"):
        cuts_from_csv(tmp_path / "lost.csv")
    with pytest.raises(ManifestError, match=r"The table .*latin\.csv is not text in utf-8 .*save it as UTF-8\."):
        cuts_from_csv(table("path,label\na.wav,caf\u00e9\n", name="latin.csv", encoding="latin-1"))
    with pytest.raises(ManifestError, match=r"'labels' is no column .*Did you mean label"):
        cuts_from_csv(table("path\na.wav\n"), columns={"labels": "path"})


def test_a_folder_named_after_labels(sound, tmp_path):
    for label in ("cat", "dog"):
        for number in range(10):
            sound(f"{label}/{number}.wav", 400)
    (tmp_path / "notes.txt").write_text("not a sound")
    splits = cuts_from_folder(tmp_path)
    assert {cut.id: cut.supervisions[0].custom["label"] for cut in splits["all"]} == {
        f"{label}/{number}": label for label in ("cat", "dog") for number in range(10)
    }
    drawn = cuts_from_folder(tmp_path, split=(0.1, 0.2), seed=1)
    assert {split: len(cuts) for split, cuts in drawn.items()} == {"train": 14, "dev": 2, "test": 4}
    for cuts in drawn.values():
        labels = [cut.supervisions[0].custom["label"] for cut in cuts]
        assert labels.count("cat") == labels.count("dog")
    ids = [cut.id for cuts in drawn.values() for cut in cuts]
    assert len(set(ids)) == len(ids) == 20
    again, other = (cuts_from_folder(tmp_path, split=(0.1, 0.2), seed=seed)["test"] for seed in (1, 2))
    assert [cut.id for cut in again] == [cut.id for cut in drawn["test"]]
    assert [cut.id for cut in again] != [cut.id for cut in other]


def test_a_folder_named_after_splits(sound, tmp_path):
    for name in ("train/cat/1.wav", "train/dog/1.wav", "val/cat/2.wav", "test/3.wav"):
        sound(name, 400)
    splits = cuts_from_folder(tmp_path)
    found = {
        (split, cut.id, (cut.supervisions[0].custom or {}).get("label")) for split in splits for cut in splits[split]
    }
    assert found == {
        ("train", "train/cat/1", "cat"),
        ("train", "train/dog/1", "dog"),
        ("dev", "val/cat/2", "cat"),
        ("test", "test/3", None),
    }
    assert all(
        cut.supervisions[0].custom is None for cut in cuts_from_folder(tmp_path, labels_from_parent=False)["dev"]
    )
    with pytest.raises(ManifestError, match="already named after splits"):
        cuts_from_folder(tmp_path, split=(0.1, 0.1))


def test_folders_that_cannot_be_used(sound, tmp_path):
    with pytest.raises(ManifestError, match="nowhere is not a folder"):
        cuts_from_folder(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ManifestError, match="bare holds no sound file"):
        cuts_from_folder(tmp_path / "bare")
    sound("x/1.wav")
    for shares in ((0.5, 0.5), (float("nan"), 0.1)):
        with pytest.raises(ManifestError, match="must leave some for train"):
            cuts_from_folder(tmp_path, split=shares)
    (tmp_path / "x" / "2.wav").touch()
    with pytest.raises(AudiosslError, match=r"2\.wav is empty"):
        cuts_from_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "path;label;end\na.wav;dog;0,25\n",  # Excel where a comma is the decimal sign
        "path\tlabel\tend\na.wav\tdog\t0.25\n",
        "path , label,end\r\na.wav, dog , 0.25\r\n\r\n",
        '"path"\t"label"\t"end"\n"a.wav"\t"dog"\t"0.25"\n',
        "path;label;end\n.\\a.wav;dog;0.25\n;;\n",  # Windows; a blank row of Excel
    ],
)
def test_tables_of_other_programs(table, text):
    (cut,) = cuts_from_csv(table(text, encoding="utf-8-sig"))["all"]
    assert (cut.recording.id, cut.duration) == ("a", 0.25)
    assert cut.supervisions[0].custom == {"label": "dog"}


def test_a_quotation_mark_in_a_table_with_tabs_is_text(table):
    rows = 'path\tsentence\na.wav\t"Ja", sagte sie.\nsub/b.flac\t"Nein"\n'
    cuts = cuts_from_csv(table(rows), columns={"transcript": "sentence"})["all"]
    assert [cut.supervisions[0].text for cut in cuts] == ['"Ja", sagte sie.', '"Nein"']
    (cut,) = cuts_from_csv(table('path\ttranscript\na.wav\t"""Ja"", sagte sie."\n'))["all"]  # as pandas writes it
    assert cut.supervisions[0].text == '"Ja", sagte sie.'


@pytest.mark.parametrize(("text", "split"), [("Train", "train"), ("validation", "dev"), ("val", "dev"), ("x", "x")])
def test_splits_have_one_name(table, sound, tmp_path, text, split):
    assert set(cuts_from_csv(table(f"path,split\na.wav,{text}\n"))) == {split}
    sound(f"folders/{text}/x/1.wav", 400)
    assert set(cuts_from_folder(tmp_path / "folders")) == {split if split != "x" else "all"}


def test_a_column_that_is_left_out_or_used_twice(table):
    text = "path,split,speaker,label\na.wav,train,ann,x\nsub/b.flac,test,ben,y\n"
    assert set(cuts_from_csv(table(text), columns={"split": ""})) == {"all"}
    splits = cuts_from_csv(table(text), columns={"label": "speaker", "speaker": "speaker"})
    (said,) = next(iter(splits["train"])).supervisions
    assert (said.speaker, said.custom) == ("ann", {"label": "ann"})


REAL = os.environ.get("AUDIOSSL_DATA", "")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="AUDIOSSL_DATA does not name the folder of real recordings")
@pytest.mark.parametrize(
    ("name", "num_rows", "rates"),
    [("fsdd", 3000, {8000}), ("wakewords", 446, {16000}), ("speakers", 4525, {8000, 16000})],
)
def test_the_real_tables(tmp_path, name, num_rows, rates):
    splits = cuts_from_csv(Path(REAL) / name / "manifest.csv")
    paths = write_manifests(splits, tmp_path)
    assert set(paths) == {"train", "dev", "test"}
    cuts = [cut for path in paths.values() for cut in read_manifest(path)]
    assert len(cuts) == num_rows
    assert {cut.sampling_rate for cut in cuts} == rates
    for cut in cuts[:: num_rows // 5]:
        sound = read_cut(cut, 16000)
        assert np.abs(sound).max() > 0
        assert abs(len(sound) - cut.duration * 16000) <= 1
    if name == "speakers":
        assert any(cut.start > 0 for cut in cuts)
        assert all(".." not in Path(cut.recording.sources[0].source).parts for cut in cuts)
