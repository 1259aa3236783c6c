"""Croissant files, read back by the library of those who made the format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet, SupervisionSegment

from audiossl.core.errors import ConfigError, ManifestError, OutputError
from audiossl.core.files import file_sha256
from audiossl.data.croissant import DatasetDescription, write_croissant
from audiossl.data.manifests import read_manifest, write_manifests

LICENCE = "https://creativecommons.org/licenses/by/4.0/"
TOLD = DatasetDescription(
    licence=LICENCE,
    url="https://example.org/tones",
    citation="@misc{tones}",
    creator="A. Nother",
    published="2026-11-27",
    version="1.0.0",
)
Row = Callable[..., Any]


def manifest_of(row: Row, folder: Path, name: str = "train", **custom: Any) -> Path:
    cut = row("a", 8000, path="a.wav")
    cut.supervisions = [SupervisionSegment("a", "a", 0.0, 0.5, custom=custom)]
    return write_manifests({name: CutSet.from_cuts([cut])}, folder)[name]


def read(path: Path) -> dict[str, Any]:
    made = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(made, dict)
    return made


@pytest.fixture
def mlcroissant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "croissant"))
    return pytest.importorskip("mlcroissant")


def test_a_file_is_valid_and_gives_the_rows(mlcroissant: Any, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Töne und mehr"
    shutil.copytree(corpus, folder)
    report = write_croissant(folder, TOLD)
    assert report.num_rows == {"dev": 9, "test": 12, "train": 18}
    assert report.fields == ["id", "audio", "sample_rate", "start", "duration", "split", "label", "speaker"]
    assert report.lacking == report.left_out == []
    dataset = mlcroissant.Dataset(jsonld=str(report.path))
    assert not dataset.metadata.ctx.issues.errors
    assert not dataset.metadata.ctx.issues.warnings
    for split in report.num_rows:
        cuts = list(read_manifest(folder / f"{split}.jsonl.gz"))
        records = list(dataset.records(split))
        assert len(records) == len(cuts)
        for record, cut in zip(records, cuts, strict=True):
            told = {name.removeprefix(f"{split}/"): value for name, value in record.items()}
            assert told.pop("duration") == pytest.approx(cut.duration)
            assert told == {
                "id": cut.id.encode(),
                "audio": cut.recording.sources[0].source.encode(),
                "sample_rate": 16000,
                "start": 0.0,
                "split": split.encode(),
                "speaker": [cut.supervisions[0].speaker.encode()],
                "label": [cut.supervisions[0].custom["label"].encode()],
            }
    kinds = {record["splits/name"]: record["splits/url"] for record in dataset.records("splits")}
    assert kinds == {"dev": "cr:ValidationSplit", "test": "cr:TestSplit", "train": "cr:TrainingSplit"}


def test_files_have_sizes_and_checksums_and_equal_manifests_give_an_equal_file(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "tones.json"
    write_croissant(corpus, TOLD, out)
    before = out.read_bytes()
    made = read(out)
    assert made["name"] == "manifests"
    assert made["description"].startswith("Recordings: dev 9 rows, 0.00 hours, test 12 rows")
    for file in made["distribution"]:
        path = out.parent / file["contentUrl"]
        assert (file["sha256"], file["contentSize"]) == (file_sha256(path), f"{path.stat().st_size} B")
    write_croissant(corpus, TOLD, out)
    assert out.read_bytes() == before
    assert b"audio/" not in before  # no path of this machine


def test_any_column_is_a_field(mlcroissant: Any, row: Row, tmp_path: Path) -> None:
    columns = {"it's 1 \\ 2": "x", "Größe": 1.5, "count": 3, "wild": True, "start": "früh"}
    manifest_of(row, tmp_path, "all", **columns, box={"top": 1}, licence="CC0-1.0")
    report = write_croissant(tmp_path, DatasetDescription())
    assert report.left_out == ["box"]
    assert report.lacking == ["url", "creator", "datePublished"]
    assert read(report.path)["license"] == "CC0-1.0"
    (record,) = mlcroissant.Dataset(jsonld=str(report.path)).records("all")
    assert record["all/it%27s%201%20%5C%202"] == [b"x"]
    assert (record["all/Gr%C3%B6%C3%9Fe"], record["all/count"], record["all/wild"]) == ([1.5], [3], [True])
    assert (record["all/start"], record["all/custom.start"]) == (0.0, ["früh".encode()])


def test_what_nobody_says_is_asked_for(row: Row, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="There is no folder"):
        write_croissant(tmp_path / "nowhere", TOLD)
    with pytest.raises(ManifestError, match="has no manifest"):
        write_croissant(tmp_path, TOLD)
    manifest_of(row, tmp_path, licence="CC0-1.0")
    manifest_of(row, tmp_path, "test")
    with pytest.raises(ConfigError, match="Under which licence are the data. 1 of 2 rows do not say it"):
        write_croissant(tmp_path, DatasetDescription())
    manifest_of(row, tmp_path, "test", license="CC-BY-4.0")
    assert read(write_croissant(tmp_path, DatasetDescription()).path)["license"] == ["CC-BY-4.0", "CC0-1.0"]
    assert write_croissant(tmp_path, TOLD).licences == ["CC-BY-4.0", "CC0-1.0"]
    with pytest.raises(ConfigError, match="The date '27.11.2026' is none"):
        write_croissant(tmp_path, TOLD._replace(published="27.11.2026"))
    with pytest.raises(ConfigError, match="The url 'here' is none"):
        write_croissant(tmp_path, TOLD._replace(url="here"))


def test_nothing_else_is_replaced_or_taken_for_a_manifest(row: Row, tmp_path: Path) -> None:
    path = manifest_of(row, tmp_path)
    (tmp_path / "shards.jsonl").write_text('{"tar": "0.tar"}\n')
    for out, why in ((path, "is an input"), (tmp_path / "notes.json", "is no result of this command")):
        (tmp_path / "notes.json").write_text("mine")
        with pytest.raises(OutputError, match=why):
            write_croissant(tmp_path, TOLD, out)
    assert [file["name"] for file in read(write_croissant(tmp_path, TOLD).path)["distribution"]] == ["train.jsonl.gz"]
    (tmp_path / "train.jsonl").write_text("{}\n")
    with pytest.raises(ManifestError, match="line 1"):
        write_croissant(tmp_path, TOLD)
