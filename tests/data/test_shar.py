"""A folder that lhotse has written as Shar is read by its members."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet
from toys.core import write_corpus

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.checks import validate
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_cut
from audiossl.data.shar import is_shar
from audiossl.data.shard_sources import cuts_from_shards


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    return CutSet.from_cuts(
        read_manifest(write_corpus(tmp_path_factory.mktemp("shar"), {"train": 2}) / "train.jsonl.gz")
    )


@pytest.fixture
def folder(rows: CutSet, tmp_path: Path) -> Path:
    out = tmp_path / "train"
    out.mkdir()
    rows.to_shar(out, fields={"recording": "flac"}, shard_size=4)
    return out


def test_rows_and_sound_are_those_that_lhotse_wrote(rows: CutSet, folder: Path) -> None:
    found = cuts_from_shards([str(folder)])
    assert list(found.splits) == ["train"]
    for one, other in zip(found.splits["train"], rows, strict=True):
        assert (one.id, one.duration) == (other.id, other.duration)
        assert read_field(one, "label") == read_field(other, "label")
        np.testing.assert_array_equal(read_cut(one, 16000), read_cut(other, 16000))
    assert validate(found.splits["train"]) == []
    with pytest.raises(ManifestError, match="type 'shar' .*from-shards"):
        read_manifest(folder / "cuts.000000.jsonl.gz")
    assert is_shar({"cuts.000000.jsonl.gz": ""})
    assert not is_shar({"a.tar": "", "train.jsonl.gz": ""})


def rewritten(path: Path, change: object) -> None:
    """Lines of a packed file, each through `change`, None for those that go."""
    with gzip.open(path, "rt") as file:
        lines = [change(number, json.loads(line)) for number, line in enumerate(file)]  # type: ignore[operator]
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines if line is not None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, row: None if n == 3 else row, "do not have equally many rows"),
        (lambda n, row: {**row, "id": "other"} if n == 1 else row, "the sound of other is .*write them again"),
        (lambda n, row: {**row, "start": "x"} if n == 1 else row, "has start 'x'"),
        (lambda n, row: {**row, "recording": None} if n == 1 else row, "is no row with sound"),
        (
            lambda n, row: (
                {**row, "custom": {"units": {"storage_type": "shar", "storage_path": ""}}} if n == 1 else row
            ),
            "has an array of the type 'shar'",
        ),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, change: object, message: str) -> None:
    rewritten(folder / "cuts.000000.jsonl.gz", change)
    with pytest.raises(ManifestError, match=message):
        cuts_from_shards([str(folder)])
    if "equally" not in message:
        found = cuts_from_shards([str(folder)], skip_bad=True)
        assert (len(list(found.splits["train"])), len(found.left_out)) == (5, 1)


def test_parts_that_are_missing_or_damaged(folder: Path) -> None:
    tar, cuts = folder / "recording.000000.tar", folder / "cuts.000000.jsonl.gz"
    with tarfile.open(tar) as archive:
        first = archive.getmembers()[0]
    with open(tar, "r+b") as file:
        file.seek(first.offset_data)
        file.write(bytes(200))
    with pytest.raises(
        AudioError, match=rf"{Path(first.name).name} in .*recording\.000000\.tar cannot be read as sound"
    ):
        cuts_from_shards([str(folder)])
    tar.unlink()
    with pytest.raises(ManifestError, match=r"has no recording\.000000\.tar beside it"):
        cuts_from_shards([str(folder)])
    cuts.write_bytes(cuts.read_bytes()[:50])
    tar.write_bytes((folder / "recording.000001.tar").read_bytes())
    with pytest.raises(ManifestError, match="is not a whole JSONL manifest"):
        cuts_from_shards([str(folder)])
