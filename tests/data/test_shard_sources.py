"""Manifests of shards that are there: moved, behind a URL, or written by other programs."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from toys.buckets import forget_s3, s3_bucket, web_of
from toys.core import write_corpus
from toys.shards import member_of, rows_in, shards_of

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data import shard_members
from audiossl.data.checks import validate
from audiossl.data.fields import read_field
from audiossl.data.reading import read_cut
from audiossl.data.shard_members import ADDRESSES
from audiossl.data.shard_sources import cuts_from_shards
from audiossl.data.shards import INDEX

RATE = 8000


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("sources")
    return shards_of(write_corpus(top / "corpus", {"train": 2, "dev": 1}), top / "shards")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv(ADDRESSES, "memory://bucket")
    MemoryFileSystem.store.clear()
    yield "memory://bucket/shards"
    MemoryFileSystem.store.clear()


def wav(seed: int, num_samples: int = 800) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, num_samples)
    soundfile.write(buffer, noise, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def tar_of(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def same_rows(found, expected):
    assert [cut.id for cut in found] == [cut.id for cut in expected]
    for one, other in zip(found, expected, strict=True):
        assert read_field(one, "label") == read_field(other, "label")
        assert (one.duration, member_of(one).digest) == (other.duration, member_of(other).digest)
        np.testing.assert_array_equal(read_cut(one, 16000), read_cut(other, 16000))


def test_our_own_by_their_manifests_behind_a_url_or_by_their_tars_alone(shards, bucket, tmp_path):
    memory = fsspec.filesystem("memory")
    for path in shards.iterdir():
        memory.pipe_file(f"/bucket/shards/{path.name}", path.read_bytes())
    for place in (str(shards), bucket, f"{bucket}/"):
        found = cuts_from_shards([place])
        assert sorted(found.splits) == ["dev", "train"]
        same_rows(found.splits["train"], rows_in(shards))
    memory.rm(f"/bucket/shards/{INDEX}")
    for places in ([bucket], [f"{bucket}/train-000000.tar", f"{bucket}/train-000001.tar"]):
        found = cuts_from_shards(places)
        assert member_of(next(iter(found.splits["train"]))).tar.startswith(bucket)
        same_rows(found.splits["train"], rows_in(shards))
    with pytest.raises(ManifestError, match=r"There is no memory://none; name a folder or URL"):
        cuts_from_shards(["memory://none"])
    with pytest.raises(ManifestError, match=r"There is no .*gone\.tar; name"):
        cuts_from_shards([f"{bucket}/gone.tar"])


def read_first(cuts):
    shard_members._read.cache_clear()
    return read_cut(next(iter(cuts)), 16000)


def test_shards_in_s3(shards, monkeypatch):
    bucket = s3_bucket(monkeypatch)
    monkeypatch.setenv(ADDRESSES, bucket)
    fs, root = fsspec.core.url_to_fs(bucket)
    fs.put(str(shards), f"{root}/shards", recursive=True)
    found = cuts_from_shards([f"{bucket}/shards"]).splits["train"]
    same_rows(found, rows_in(shards))
    for place in ("s3://no-such-bucket/shards", f"{bucket}/none", f"{bucket}/none.tar"):
        with pytest.raises(ManifestError, match=f"There is no {place}; name"):
            cuts_from_shards([place])
    tar = member_of(next(iter(found))).tar
    whole = fs.cat_file(tar)
    fs.pipe_file(tar, whole[:1500])
    with pytest.raises(AudioError, match=r"000000\.tar is truncated"):
        read_first(found)
    fs.rm(tar)
    with pytest.raises(AudioError, match=r"000000\.tar is missing; put it back"):
        read_first(found)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forget_s3()
    with pytest.raises(AudioError, match="cannot be read .*; give the credentials that its package looks for"):
        read_first(found)
    with pytest.raises(ManifestError, match="cannot be listed .*; give the credentials"):
        cuts_from_shards([f"{bucket}/shards"])
    forget_s3()


def test_shards_on_the_web(shards, monkeypatch):
    monkeypatch.setattr(shard_members, "_PAUSES_S", (0.0,))
    with web_of(shards) as web:
        monkeypatch.setenv(ADDRESSES, f"{web.address} simplecache::{web.address}")
        found = cuts_from_shards([web.address]).splits["train"]
        same_rows(found, rows_in(shards))
        tar = member_of(next(iter(found))).tar
        for manner, said in (
            ("whole", "only given whole, not in parts; put simplecache:: before it"),
            ("cut", "does not answer .*; see whether it can be reached, and go on"),
            (503, "does not answer .*503"),
            (401, "cannot be read .*401.*; give the credentials"),
        ):
            web.manner = manner
            with pytest.raises(AudioError, match=said):
                read_first(found)
        web.manner = "whole"
        kept = cuts_from_shards([f"simplecache::{tar}"]).splits["train"]
        assert len(read_first(kept))
        web.manner = "cut"
        with pytest.raises(ManifestError, match=r"\.tar cannot be read .*; see whether it can be reached, and try"):
            cuts_from_shards([tar])
        web.manner = "parts"
        for place in (f"{web.address}/none", f"{web.address}/none.tar"):
            with pytest.raises(ManifestError, match=f"There is no {place}; name"):
                cuts_from_shards([place])
    with pytest.raises(AudioError, match="does not answer"):
        read_first(found)


def test_tars_of_others(tmp_path):
    said = json.dumps({"speaker_id": "s1", "text": "hello", "lang": "en", "age": 7, "nested": {"a": 1}}).encode()
    tar_of(
        tmp_path / "train-000.tar", {"./a.wav": wav(0), "./a.json": said, "b.x/b.wav": wav(1), "b.x/b.txt": b"bye\n"}
    )
    tar_of(tmp_path / "val_0001.tar", {f"{'deep/' * 30}c.wav": wav(2), f"{'deep/' * 30}c.cls": b"3"})
    found = cuts_from_shards([str(tmp_path)])
    first, second = found.splits["train"]
    (third,) = found.splits["dev"]
    assert (first.id, second.id) == ("train-000/a", "train-000/b.x/b")
    fields = {name: read_field(first, name) for name in ("speaker", "text", "language", "age", "nested")}
    assert fields == {"speaker": "s1", "text": "hello", "language": "en", "age": "7", "nested": None}
    assert read_field(second, "text") == "bye"
    assert read_field(third, "label") == "3"
    assert validate([first, second, third]) == []
    assert len(read_cut(third, RATE)) == 800


def test_what_is_no_shard_is_one_sentence(tmp_path):
    whole = tar_of(tmp_path / "a-0.tar", {"a.wav": wav(0), "b.wav": wav(1)}).read_bytes()
    for size in (600, 512 + 1644 + 100, 3 * 1024):
        (tmp_path / "a-0.tar").write_bytes(whole[:size])
        with pytest.raises(ManifestError, match=r"a-0\.tar is (no whole tar|truncated or damaged)"):
            cuts_from_shards([str(tmp_path)])
    (tmp_path / "a-0.tar").write_bytes(b"x" * 4000)
    with pytest.raises(ManifestError, match=r"a-0\.tar is no whole tar"):
        cuts_from_shards([str(tmp_path / "a-0.tar")])
    for name, message in (("x.tar.gz", "is compressed"), ("x.txt", "has no tar")):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / name).write_bytes(b"x")
        with pytest.raises(ManifestError, match=message):
            cuts_from_shards([str(tmp_path / "other" / name)])
    with pytest.raises(ManifestError, match="There is no"):
        cuts_from_shards([str(tmp_path / "nowhere")])
    tar_of(tmp_path / "a-0.tar", {"a.wav": wav(0)})
    with pytest.raises(ManifestError, match="the id a-0/a is in a already"):
        cuts_from_shards([str(tmp_path / "a-0.tar"), str(tmp_path / "a-0.tar")])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.wav": b"no sound"}, "a.wav in .* cannot be read as sound"),
        ({"a.wav": wav(0, 8000)[:1000]}, "is truncated"),
        ({"a.txt": b"hello"}, "has 0 sound files of the sample a"),
        ({"a.wav": wav(0), "a.noisy.flac": wav(1)}, "has 2 sound files"),
        ({"a.wav": wav(0), "a.json": b"{"}, "has a json of the sample a that cannot be read"),
        ({"a.wav": wav(0), "a.txt": b"\xff"}, "has a txt of the sample a that cannot be read"),
        ({"a.wav": wav(0), "a.json": b'{"recording": 1, "supervisions": []}'}, "the JSON of the sample a"),
        ({"a.wav": wav(0), "a.json": b'{"sources": [{"type": "command", "source": "x"}]}'}, "neither run nor"),
    ],
)
def test_a_bad_sample_is_named_and_left_out_when_asked(tmp_path, files, message):
    tar = tar_of(tmp_path / "t-1.tar", {**files, "good.wav": wav(5)})
    with pytest.raises((AudioError, ManifestError), match=message):
        cuts_from_shards([str(tar)])
    found = cuts_from_shards([str(tar)], skip_bad=True)
    assert [cut.id for cut in found.splits["t"]] == ["t-1/good"]
    assert list(found.left_out) == ["t-1/a"]
    tar_of(tmp_path / "t-1.tar", files)
    with pytest.raises(ManifestError, match="no sample there has sound"):
        cuts_from_shards([str(tar)], skip_bad=True)
