"""A member of a shard is read by its bytes, and is what its row was made from or an error that names it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from toys.core import write_corpus
from toys.shards import damage, member_of, rows_in, shards_of

from audiossl.core.errors import AudioError
from audiossl.data import shard_members
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_audio, read_cut
from audiossl.data.shard_members import PlaceError, ShardMember, anchored, check_allowed, digest_of, parts_of


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("members")
    return shards_of(write_corpus(top / "corpus", {"train": 2}), top / "shards")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy in another place, which can be damaged."""
    shard_members._read.cache_clear()
    return Path(shutil.copytree(written, tmp_path / "shards"))


@pytest.fixture
def url(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv(shard_members.ADDRESSES, "memory://bucket")
    MemoryFileSystem.store.clear()
    for tar in folder.glob("*.tar"):
        fsspec.filesystem("memory").pipe_file(f"/bucket/{tar.name}", tar.read_bytes())
    yield "memory://bucket"
    MemoryFileSystem.store.clear()


def test_a_place_is_written_and_read_as_text():
    member = ShardMember("a b/x.tar#1.tar", 512, 9, "0" * 32, "deep/a#b.flac")
    assert ShardMember.parse(str(member)) == member
    for other in ("a.wav", "a#1.wav", "x.tar", "x.tar#1+2:zz:a", f"x.zip#1+2:{'0' * 32}:a"):
        assert ShardMember.parse(other) is None


def test_a_tar_without_a_folder_lies_beside_its_manifest():
    text = f"t.tar#512+9:{'0' * 32}:a.flac"
    assert anchored(text, "/data/shards").startswith("/data/shards/t.tar#")
    assert anchored(text, "s3://b/shards/").startswith("s3://b/shards/t.tar#")
    for settled in (f"/x/{text}", f"s3://b/{text}", "a.wav"):
        assert anchored(settled, "/data") == settled


def test_a_shard_that_was_moved_is_read_by_name_by_part_and_by_url(written, folder, url):
    manifest = folder / "train.jsonl.gz"
    there = {cut.id: cut for cut in rows_in(written)}
    for cut, fetched in zip(read_manifest(manifest), read_manifest(manifest, shards_at=url), strict=True):
        assert member_of(cut).tar.startswith(str(folder))
        assert member_of(fetched).tar.startswith(url)
        whole = read_cut(there[cut.id], 16000)
        np.testing.assert_array_equal(read_cut(cut, 16000), whole)
        np.testing.assert_array_equal(read_cut(fetched, 16000), whole)
        part = read_audio(str(member_of(fetched)), start_s=0.05, duration_s=0.1)
        np.testing.assert_array_equal(part, whole[800:2400])


def test_each_fault_is_one_sentence_that_names_the_tar(folder):
    first, second, *_, last = rows_in(folder)
    member = member_of(first)
    damage(first)
    with pytest.raises(AudioError, match=rf"{member.name} in .*train-000000\.tar is damaged.*skip_bad"):
        read_cut(first, 16000)
    assert len(read_cut(second, 16000))  # its neighbour is whole
    with pytest.raises(AudioError, match=rf"has no {member.name} of {member.size} bytes at byte 1024: .* of another"):
        member._replace(offset=1024).read()
    with pytest.raises(AudioError, match=r"has no .* of another tar"):
        member._replace(offset=3).read()
    tar = Path(member_of(last).tar)
    for size in (member_of(last).offset + 10, 100):
        tar.write_bytes(tar.read_bytes()[:size])
        with pytest.raises(AudioError, match=rf"{tar.name} is truncated: {member_of(last).name} should end at byte"):
            read_cut(last, 16000)
    tar.unlink()
    with pytest.raises(PlaceError, match=rf"{tar.name} is missing; .*from-shards"):
        read_cut(last, 16000)
    with pytest.raises(PlaceError, match="cannot be read"):
        parts_of(str(folder), 0, 1)


def test_no_address_is_opened_that_is_not_allowed(url, folder, monkeypatch):
    fetched = next(iter(read_manifest(folder / "train.jsonl.gz", shards_at=url)))
    for allowed in ("", "memory://buck", "memory://bucket/deeper s3://b"):
        monkeypatch.setenv(shard_members.ADDRESSES, allowed)
        with pytest.raises(
            PlaceError, match=r"train-000000\.tar is an address .* set AUDIOSSL_SHARDS=memory://bucket in"
        ):
            read_cut(fetched, 16000)
    monkeypatch.setenv(shard_members.ADDRESSES, "s3://b memory://bucket/")
    assert len(read_cut(fetched, 16000))
    with pytest.raises(PlaceError, match="not allowed"):
        check_allowed("memory://bucket/../other/x.tar")


def test_a_place_that_does_not_answer_is_asked_again(url, folder, monkeypatch):
    fetched = next(iter(read_manifest(folder / "train.jsonl.gz", shards_at=url)))
    member, asked, answer = member_of(fetched), [], MemoryFileSystem.cat_file

    def unreliable(self, *arguments, **options):
        asked.append(arguments)
        if len(asked) < failures:
            raise ConnectionError("reset by peer")
        return answer(self, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", unreliable)
    monkeypatch.setattr(shard_members, "_PAUSES_S", (0.0, 0.0))
    failures = 3
    assert digest_of(member.read().content) == member.digest
    assert len(asked) == 3
    shard_members._read.cache_clear()
    failures = 10
    with pytest.raises(PlaceError, match="does not answer \\(reset by peer\\)"):
        member.read()
    monkeypatch.setattr(MemoryFileSystem, "cat_file", answer)
    with pytest.raises(PlaceError, match=r"none\.tar is missing"):
        member._replace(tar=f"{url}/none.tar").read()

    def lacking(url):
        raise ImportError("install s3fs")

    monkeypatch.setattr("fsspec.core.url_to_fs", lacking)
    monkeypatch.setenv(shard_members.ADDRESSES, "s3://b")
    with pytest.raises(PlaceError, match="needs a package"):
        member._replace(tar="s3://b/none.tar").read()
