"""Hugging Face's audiofolder."""

from __future__ import annotations

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.data.audiofolder import cuts_from_audiofolder
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import read_field


def test_rows_are_those_of_the_metadata(sound, tmp_path):
    for name in ("train/a.wav", "train/deep/b.wav", "validation/c.wav"):
        sound(name)
    (tmp_path / "train/metadata.csv").write_text('file_name,transcription\na.wav,"hi, you"\ndeep/b.wav,\n')
    (tmp_path / "validation/metadata.jsonl").write_text('{"file_name": "c.wav", "species": ["owl", "crow"]}\n')
    found = cuts_from_audiofolder(tmp_path)
    assert [(cut.id, read_field(cut, "text")) for cut in found["train"]] == [
        ("train/a", "hi, you"),
        ("train/deep/b", None),
    ]
    assert [read_field(cut, "species") for cut in found["dev"]] == ["owl|crow"]
    (tmp_path / "train/metadata.csv").unlink()
    (tmp_path / "validation/metadata.jsonl").unlink()
    (tmp_path / "metadata.csv").write_text(
        "file_name,kind\ntrain/a.wav,x\ntrain/deep/b.wav,y\nvalidation/c.wav,x\n", encoding="utf-8"
    )
    found = cuts_from_audiofolder(tmp_path, columns={"label": "kind"})
    assert {split: [read_field(cut, "label") for cut in cuts] for split, cuts in found.items()} == {
        "train": ["x", "y"],
        "dev": ["x"],
    }


def test_folders_are_labels_where_there_is_no_metadata(sound, tmp_path):
    for name in ("train/cat/1.wav", "train/dog/1.wav", "test/cat/2.wav"):
        sound(name)
    found = cuts_from_audiofolder(tmp_path)
    assert [read_field(cut, "label") for cut in found["train"]] == ["cat", "dog"]


def test_what_cannot_be_used_is_named(sound, tmp_path):
    sound("f/a.wav"), sound("f/b.wav"), sound("out.wav")
    lines = ["a.wav", "../out.wav", "lost.wav", ""]
    (tmp_path / "f/metadata.jsonl").write_text("".join(f'{{"file_name": "{line}"}}\n' for line in lines))
    with pytest.raises(AudiosslError, match=r"metadata\.jsonl line 2: \.\./out\.wav is not below"):
        cuts_from_audiofolder(tmp_path / "f")
    bad = BadRows(skip=True)
    assert [cut.id for cut in cuts_from_audiofolder(tmp_path / "f", bad=bad)["all"]] == ["a"]
    whys = list(bad.left_out.values())
    expected = ("is not below", "has no file_name", "no metadata has a row of this file", "is missing")
    assert all(part in why for part, why in zip(expected, whys, strict=True))
    with pytest.raises(AudiosslError, match="holds no sound file|is not a folder"):
        cuts_from_audiofolder(tmp_path / "none")
