"""Manifest files, whole or not there."""

from __future__ import annotations

import gzip
import json

import pytest
from lhotse import CutSet

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_folder


def test_what_is_written_is_read(sound, tmp_path):
    for number in range(3):
        sound(f"in/ptak-żółty/{number}.wav", 400 + number)
    splits = cuts_from_folder(tmp_path / "in")
    paths = write_manifests(splits, tmp_path / "out")
    assert paths == {"all": tmp_path / "out" / "all.jsonl.gz"}
    cuts = read_manifest(paths["all"])
    assert cuts.is_lazy
    assert len(cuts) == 3
    assert [cut.to_dict() for cut in cuts] == [cut.to_dict() for cut in splits["all"]]
    assert [cut.id for cut in cuts] == [cut.id for cut in cuts]  # it can be walked again
    assert [cut.id for cut in CutSet.from_file(paths["all"])] == [cut.id for cut in cuts]
    before = paths["all"].read_bytes()
    write_manifests(splits, tmp_path / "out")
    assert paths["all"].read_bytes() == before


def test_a_failed_write_leaves_the_old_manifest(row, tmp_path):
    (path,) = write_manifests({"all": CutSet.from_cuts([row("a", 400)])}, tmp_path).values()
    broken = row("b", 400)
    broken.custom = {"what": object()}
    with pytest.raises(TypeError):
        write_manifests({"all": CutSet.from_cuts([row("a", 400), broken])}, tmp_path)
    assert [cut.id for cut in read_manifest(path)] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["all.jsonl.gz"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lost.jsonl", None, r"There is no .*lost\.jsonl; make"),
        ("nemo.jsonl", b'{"audio_filepath": "a.wav"}\n', r"nemo\.jsonl line 1 is of a NeMo manifest .*from-nemo"),
        ("bare.jsonl", b"", r"bare\.jsonl is empty"),
        ("bare.jsonl.gz", gzip.compress(b"\n", mtime=0), r"bare\.jsonl\.gz is empty"),
        ("prose.jsonl", b"dear reader\n", r"prose\.jsonl line 1 is not a manifest row as JSON"),
        ("list.jsonl", b"[1, 2]\n", r"list\.jsonl line 1 is not a manifest row"),
        ("plain.jsonl.gz", b"{}\n", r"plain\.jsonl\.gz is not a whole JSONL manifest"),
        ("cut.jsonl.gz", gzip.compress(b'{"id": "x"}\n' * 9, mtime=0)[:-12], r"cut\.jsonl\.gz (is not a whole|line 1)"),
        ("latin.jsonl", b"\xe9\n", r"latin\.jsonl is not a whole JSONL manifest"),
        (
            "supervisions.jsonl",
            b'{"id": "s", "recording_id": "r", "start": 0, "duration": 1}\n',
            r"supervisions\.jsonl line 1 is a SupervisionSegment, not a cut",
        ),
    ],
)
def test_files_that_are_no_manifest(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / name)


def test_a_row_further_down_is_named_by_its_line(row, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a", 400).to_dict()) + "\n\n{\n")
    cuts = read_manifest(path)
    with pytest.raises(ManifestError, match=r"rows\.jsonl line 3 is not a manifest row as JSON"):
        list(cuts)


def test_the_manifests_that_are_there_are_named_and_a_mark_is_no_text(row, tmp_path):
    (path,) = write_manifests({"train": CutSet.from_cuts([row("a", 400)])}, tmp_path).values()
    with pytest.raises(ManifestError, match=r"There is no .*dev\.jsonl\.gz \(that folder has train\.jsonl\.gz\)"):
        read_manifest(tmp_path / "dev.jsonl.gz")
    marked = tmp_path / "marked.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + gzip.decompress(path.read_bytes()))
    assert [cut.id for cut in read_manifest(marked)] == ["a"]


@pytest.mark.parametrize("escape", ["\\ud800", "\\u0000", "a\\udfffb"])
def test_a_row_with_what_is_no_text_is_refused(row, tmp_path, escape):
    path = tmp_path / "train.jsonl"
    line = json.dumps(row("NAME", 8000).to_dict()) + "\n"
    whole = line.replace("NAME", r"\u00e4\ud83d\ude00 \\\\u0000")  # the last is a backslash and five letters
    path.write_text(whole + line.replace("NAME", escape))
    rows = iter(read_manifest(path))
    assert next(rows).id == "ä😀 \\\\u0000"
    with pytest.raises(ManifestError, match=r"train\.jsonl line 2 has no text in .*, but NUL or half of a character"):
        next(rows)
