"""What is named on the command line becomes rows, with ids that do not collide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audiossl.core.errors import AudioError, ConfigError, ManifestError, OutputError
from audiossl.data.inputs import cuts_of, rows_of, write_rows
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import path_of


def test_files_folders_and_patterns_in_their_order(sound: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("day/b.wav", "day/deep/a.flac", "one.wav", "two.wav"):
        sound(name)
    (tmp_path / "day" / "notes.txt").write_text("no sound")
    found = cuts_of([str(tmp_path / "two.wav"), str(tmp_path / "day"), str(tmp_path / "on*.wav")])
    assert [cut.id for cut in found] == ["two", "b", "deep/a", "one"]
    assert [cut.num_samples for cut in found] == [8000] * 4


def test_equal_names_become_whole_paths(sound: Callable[..., Path], tmp_path: Path) -> None:
    first, second, other = sound("a/x.wav"), sound("b/x.wav"), sound("b/y.wav")
    assert [cut.id for cut in cuts_of([str(first), str(second), str(other)])] == [
        (tmp_path / "a" / "x").as_posix(),
        (tmp_path / "b" / "x").as_posix(),
        "y",
    ]


def test_a_name_with_a_bracket_is_a_file_before_it_is_a_pattern(sound: Callable[..., Path]) -> None:
    (cut,) = cuts_of([str(sound("take[1].wav"))])
    assert cut.id == "take[1]"


def test_rows_of_a_manifest_keep_their_ids_and_come_last(sound: Callable[..., Path], tmp_path: Path) -> None:
    rows = cuts_of([str(sound("x.wav"))])
    paths = write_manifests({"train": rows.map(lambda cut: cut.with_id("mine"))}, tmp_path / "manifests")
    assert [cut.id for cut in cuts_of([str(paths["train"]), str(tmp_path / "x.wav")])] == ["x", "mine"]


def test_what_holds_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="empty holds no sound file"):
        cuts_of([str(tmp_path / "empty")])
    with pytest.raises(AudioError, match=r"No file matches .*\*\.wav; check the pattern"):
        cuts_of([str(tmp_path / "*.wav")])


def test_rows_given_in_python(sound: Callable[..., Path], tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = sound("a.wav")
    frame = pandas.DataFrame({"audio": [path.read_bytes()], "split": ["train"], "label": ["x"]})
    with rows_of(frame) as rows:
        (cut,) = rows
        written = Path(path_of(cut) or "")
        assert written.read_bytes() == path.read_bytes()
    assert not written.exists()
    for given in (str(path), path, [path], (str(path),), cuts_of([str(path)])):
        with rows_of(given) as rows:
            assert [cut.id for cut in rows] == ["a"]


def test_rows_become_the_manifests_of_a_configuration(sound: Callable[..., Path], tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path, places = (
        sound("a.wav"),
        {"train": tmp_path / "rows" / "words.jsonl.gz", "dev": tmp_path / "rows/dev.jsonl.gz"},
    )
    frame = pandas.DataFrame({"audio": [path.read_bytes()], "label": ["x"]})
    for _ in range(2):  # equal rows are no others
        write_rows({"train": frame, "dev": [path]}, places)
    assert {file.name for file in (tmp_path / "rows").iterdir()} == {"words.jsonl.gz", "dev.jsonl.gz", "audio"}
    (cut,) = read_manifest(places["train"])
    assert Path(path_of(cut) or "").is_relative_to(tmp_path / "rows" / "audio")
    with pytest.raises(OutputError, match=r"words\.jsonl\.gz is there already, with other rows"):
        write_rows({"train": [path]}, places)
    with pytest.raises(ConfigError, match=r"data\.dev=.*rows\.jsonl cannot be written; give it a name that ends in"):
        write_rows({"dev": frame}, {"dev": tmp_path / "rows.jsonl"})
    with pytest.raises(ManifestError, match="train is a Series; give a cut set, a pandas frame"):
        write_rows({"train": frame["audio"]}, places)
    with pytest.raises(ConfigError, match="rows has 'trian', which is no split here"):
        write_rows({"trian": frame}, places)
