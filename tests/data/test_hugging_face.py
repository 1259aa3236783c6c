"""Data sets of Hugging Face's package `datasets`, from folders as it writes and loads them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from toys.tables import dataset_of

from audiossl.core.errors import AudioError, ConfigError, ManifestError
from audiossl.data import frames
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import read_field
from audiossl.data.frames import is_dataset, is_table
from audiossl.data.hugging_face import HuggingFaceSettings, cuts_from_hf
from audiossl.data.reading import path_of, read_audio, read_cut

NAMES = ("a.wav", "b.wav", "c.wav")


def test_the_package_is_named_where_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[datasets\]"):
        cuts_from_hf("owner/name", tmp_path)
    with pytest.raises(ConfigError, match="rows"):
        HuggingFaceSettings(rows=0)


@pytest.fixture
def files(sound) -> list[Path]:
    return [sound(f"files/{name}", 4000 + 100 * number, 8000) for number, name in enumerate(NAMES)]


@pytest.fixture
def table(files):
    pytest.importorskip("datasets")
    return dataset_of(
        files, {"kind": ["owl", "crow", "owl"]}, client_id=[3, 4, None], sentence=["x", "", None], nested=[{"a": 1}] * 3
    )


@pytest.mark.slow
def test_folders_as_the_package_writes_them(table, files, tmp_path, caplog):
    import datasets

    assert is_table(table)
    assert is_dataset(table.to_iterable_dataset())
    parts = {"train": table.select([0, 1]), "validation": table.select([2])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "disk")
    table.select([0, 1]).save_to_disk(tmp_path / "one")
    (tmp_path / "parquet").mkdir()
    for split, part in parts.items():
        part.cast_column("audio", datasets.Audio(decode=False)).to_parquet(tmp_path / f"parquet/{split}-00000.parquet")
    named = {"label": "kind"}
    for place, streaming in (("disk", False), ("one", False), ("parquet", False), ("parquet", True)):
        settings = HuggingFaceSettings(columns=named, streaming=streaming)
        found = cuts_from_hf(str(tmp_path / place), tmp_path / "audio", settings)
        assert sorted(found) == (["all"] if place == "one" else ["dev", "train"])
        cuts = list(found.get("train") or found["all"])
        assert [cut.id for cut in cuts] == ["00000000-a", "00000001-b"]
        for cut, path in zip(cuts, files, strict=False):
            assert Path(path_of(cut)).read_bytes() == path.read_bytes()
        told = [read_field(cuts[0], name) for name in ("label", "speaker", "text", "nested")]
        assert told == ["owl", "3", "x", None]
    assert "not read: nested, which is no text" in caplog.text
    assert len(list((tmp_path / "audio").rglob("*.wav"))) == 3  # of one content, one file
    few = HuggingFaceSettings(("train",), rows=1, columns={"id": "client_id"})
    assert [cut.id for cut in cuts_from_hf(str(tmp_path / "disk"), tmp_path / "audio", few)["train"]] == ["3"]


@pytest.mark.slow
def test_an_audiofolder_is_streamed_in_place(files, tmp_path):
    pytest.importorskip("datasets")
    rows = [json.dumps({"file_name": name, "text": name}) + "\n" for name in NAMES]
    (tmp_path / "files/metadata.jsonl").write_text("".join(rows))
    place = str(tmp_path / "files")
    found = cuts_from_hf(place, tmp_path / "audio", HuggingFaceSettings(streaming=True))["train"]
    assert [path_of(cut) for cut in found] == [str(path) for path in files]
    assert [read_field(cut, "text") for cut in found] == list(NAMES)
    assert not (tmp_path / "audio").exists()


@pytest.mark.slow
def test_what_cannot_be_used_is_named(table, files, tmp_path, monkeypatch):
    import datasets

    place = str(tmp_path / "disk")
    sounds = [
        {"bytes": b"no sound", "path": "x.wav"},
        None,
        {"bytes": None, "path": "https://x/a.wav"},
        {"bytes": None, "path": "hf://datasets/x/y/a.wav"},
        {"bytes": None, "path": str(files[0])},
    ]
    plain = datasets.Features({"bytes": datasets.Value("binary"), "path": datasets.Value("string")})
    datasets.Dataset.from_dict({"audio": sounds}, datasets.Features({"audio": dict(plain)})).save_to_disk(place)
    with pytest.raises(AudioError, match="disk all row 0 cannot be read as sound"):
        cuts_from_hf(place, tmp_path / "audio")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    bad = BadRows(skip=True)
    (cut,) = cuts_from_hf(place, tmp_path / "audio", bad=bad)["all"]
    assert path_of(cut) == str(files[0])
    whys = ["cannot be read as sound", "has no sound", "is an address", "a.wav cannot be read"]
    assert all(part in why for part, why in zip(whys, bad.left_out.values(), strict=True))
    table.save_to_disk(tmp_path / "good")
    good = str(tmp_path / "good")
    with pytest.raises(ManifestError, match=r"has no column 'kinds' \(its header: audio, kind"):
        cuts_from_hf(good, tmp_path / "audio", HuggingFaceSettings(columns={"label": "kinds"}))
    with pytest.raises(ManifestError, match="has no split 'tset'; choose among all"):
        cuts_from_hf(good, tmp_path / "audio", HuggingFaceSettings(("tset",)))
    with pytest.raises(ManifestError, match="none cannot be loaded by datasets"):
        cuts_from_hf(str(tmp_path / "none"), tmp_path / "audio")
    two = table.add_column("audio2", [None] * 3).cast_column("audio2", datasets.Audio())
    two.save_to_disk(tmp_path / "two")
    with pytest.raises(ManifestError, match="The columns audio, audio2 of .* are all sound; name one"):
        cuts_from_hf(str(tmp_path / "two"), tmp_path / "audio")


@pytest.mark.slow
def test_files_of_a_repository_are_fetched(table, files, tmp_path, monkeypatch):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/repository/a.wav", files[0].read_bytes())
    monkeypatch.setattr(frames, "_REPOSITORY", "memory://")
    remote = table.select([0]).remove_columns(["audio", "nested"])
    remote = remote.add_column("audio", [{"bytes": None, "path": "memory://repository/a.wav"}])
    remote.save_to_disk(tmp_path / "remote")
    (cut,) = cuts_from_hf(str(tmp_path / "remote"), tmp_path / "audio")["all"]
    np.testing.assert_array_equal(read_cut(cut, 8000), read_audio(files[0], sample_rate_hz=8000))
