"""Shards are written whole or not at all, go on where they stopped, and say what their rows say."""

from __future__ import annotations

import errno
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from toys.core import write_corpus
from toys.shards import member_of, rows_in, shards_of

from audiossl.core.errors import AudioError, AudiosslError, ConfigError, ManifestError, OutputError
from audiossl.core.files import read_jsonl
from audiossl.core.locks import try_lock_file
from audiossl.data import shards as shards_module
from audiossl.data.checks import validate
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_cut
from audiossl.data.shards import INDEX, ShardSettings, write_shards

SETTINGS = ShardSettings(rows=4)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("plain"), {"train": 4, "dev": 1})


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rows_say_and_sound_as_before(manifests, tmp_path):
    out = shards_of(manifests, tmp_path / "out")
    names = {"train-000000.tar", "train-000001.tar", "train-000002.tar", "dev-000000.tar", INDEX}
    assert names <= {path.name for path in out.iterdir()}
    for split in ("train", "dev"):
        plain = list(read_manifest(manifests / f"{split}.jsonl.gz"))
        for before, after in zip(plain, rows_in(out, split), strict=True):
            assert (after.id, after.duration, after.recording.id) == (before.id, before.duration, before.recording.id)
            assert read_field(after, "label") == read_field(before, "label")
            np.testing.assert_array_equal(read_cut(after, 16000), read_cut(before, 16000))
        assert validate(rows_in(out, split)) == []
    line = read_jsonl(out / INDEX)[-1]
    assert (line["shard"], len(line["members"])) == ("train-000002.tar", 4)
    assert {"id", "name", "offset", "size", "digest", "duration_s"} <= line["members"][0].keys()


def test_the_tars_are_what_other_programs_read(manifests, tmp_path):
    out = shards_of(manifests, tmp_path / "out")
    with tarfile.open(out / "train-000001.tar") as archive:
        names = archive.getnames()
        assert [name.partition(".")[2] for name in names] == ["flac", "json"] * 4
        keys = [name.partition(".")[0] for name in names]
        assert keys[::2] == keys[1::2]
        told = json.loads(archive.extractfile(names[1]).read())
        assert told["id"] == rows_in(out)[4].id
        assert told["recording"]["sources"][0]["source"] == names[0]


def test_sizes_and_order(manifests, tmp_path):
    plain = [cut.id for cut in read_manifest(manifests / "train.jsonl.gz")]
    by_time = shards_of(manifests, tmp_path / "time", rows=None, shard_s=1.0)
    for line in read_jsonl(by_time / INDEX):
        assert sum(member["duration_s"] for member in line["members"]) <= 1.0 or len(line["members"]) == 1
    assert [cut.id for cut in rows_in(by_time)] == plain
    tiny = shards_of(manifests, tmp_path / "tiny", rows=None, shard_s=0.01, form="wav")
    assert len(list(tiny.glob("train-*.tar"))) == len(plain)
    mixed = shards_of(manifests, tmp_path / "mixed", shuffle=1)
    assert sorted(cut.id for cut in rows_in(mixed)) == sorted(plain) != [cut.id for cut in rows_in(mixed)]
    for bad in ({"rows": 0}, {"shard_s": 0.0}, {"form": "mp3"}):
        with pytest.raises(ConfigError, match="must be"):
            ShardSettings(**bad)


def test_killed_anywhere_it_goes_on_to_the_same_bytes(manifests, tmp_path, monkeypatch):
    paths = {"train": manifests / "train.jsonl.gz"}
    whole = tmp_path / "whole"
    assert write_shards(paths, whole, SETTINGS).num_kept == 0
    expected = bytes_in(whole)
    report = write_shards(paths, whole, SETTINGS)
    assert (report.num_shards, report.num_kept, report.num_rows) == (3, 3, 12)
    assert bytes_in(whole) == expected
    broken = tmp_path / "broken"
    replace, left = os.replace, [0]

    def killed(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return replace(*arguments)

    monkeypatch.setattr("audiossl.core.files.os.replace", killed)
    for survived in (1, 1, 2, 3):  # files that are given their names before it is stopped
        left[0] = survived
        with pytest.raises(KeyboardInterrupt):
            write_shards(paths, broken, SETTINGS)
    with open(broken / INDEX, "a") as index:
        index.write('{"shard": "train-0000')  # stopped in the middle of a line
    left[0] = -1
    write_shards(paths, broken, SETTINGS)
    assert bytes_in(broken) == expected


def test_other_rows_are_not_mixed_in(manifests, tmp_path, own_corpus):
    paths = {"train": manifests / "train.jsonl.gz"}
    write_shards(paths, tmp_path / "out", SETTINGS)
    for other, how in ((paths, ShardSettings(rows=3)), (paths, ShardSettings(rows=4, form="wav"))):
        with pytest.raises(OutputError, match=r"train-000000\.tar is there already, of other rows"):
            write_shards(other, tmp_path / "out", how)
    with pytest.raises(OutputError, match="of other rows"):
        write_shards({"train": own_corpus / "train.jsonl.gz"}, tmp_path / "out", SETTINGS)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "train-000000.tar").write_bytes(b"mine")
    with pytest.raises(OutputError, match="is there already"):
        write_shards(paths, strange, SETTINGS)
    (strange / INDEX).write_text('{"a": 1}\n')
    with pytest.raises(AudiosslError, match="is no index of shards"):
        write_shards(paths, strange, SETTINGS)


def test_one_writer_at_a_time(manifests, tmp_path):
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / "shards.lock", "a") as lock:
        assert try_lock_file(lock)
        with pytest.raises(OutputError, match="Another process is writing shards into"):
            write_shards({"train": manifests / "train.jsonl.gz"}, tmp_path / "out", SETTINGS)


def test_a_full_disk_leaves_what_was_whole(manifests, tmp_path, monkeypatch):
    paths, add, calls = {"train": manifests / "train.jsonl.gz"}, shards_module._add, []

    def full(*arguments):
        calls.append(1)
        if len(calls) > 11:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(*arguments)

    monkeypatch.setattr(shards_module, "_add", full)
    with pytest.raises(OutputError, match=r"train-000001\.tar could not be written: the disk is full"):
        write_shards(paths, tmp_path / "out", SETTINGS)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"train-000000.tar", INDEX, "shards.lock"}
    monkeypatch.setattr(shards_module, "_add", add)
    assert write_shards(paths, tmp_path / "out", SETTINGS).num_kept == 1


def test_sound_that_cannot_be_read_is_named_and_left_out_when_asked(own_corpus, tmp_path):
    paths = {"train": own_corpus / "train.jsonl.gz"}
    bad = list(read_manifest(paths["train"]))[2]
    Path(bad.recording.sources[0].source).write_bytes(b"no sound at all")
    with pytest.raises(AudioError, match=rf"Row {bad.id}: .*cannot be read as sound"):
        write_shards(paths, tmp_path / "out", SETTINGS)
    report = write_shards(paths, tmp_path / "out", ShardSettings(rows=4, skip_bad=True))
    assert list(report.left_out) == [bad.id]
    assert report.num_rows == 5 == len(rows_in(tmp_path / "out"))
    assert list(write_shards(paths, tmp_path / "out", SETTINGS).left_out) == [bad.id]  # which the index says


def test_shards_of_shards_and_an_id_twice(manifests, tmp_path):
    out = shards_of(manifests, tmp_path / "out")
    again = shards_of(out, tmp_path / "again", rows=5)
    for before, after in zip(rows_in(out), rows_in(again), strict=True):
        assert member_of(before).digest == member_of(after).digest
    rows = rows_in(out)
    write_manifests({"twice": [*rows, rows[0]]}, tmp_path)
    with pytest.raises(ManifestError, match="two rows with the id"):
        write_shards({"twice": tmp_path / "twice.jsonl.gz"}, tmp_path / "never", SETTINGS)
