"""Files that are written whole or not at all; JSON; checksums; the cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError, OutputError
from audiossl.core.files import (
    atomic_folder,
    atomic_write,
    cache_folder,
    file_sha256,
    is_url,
    open_no_link,
    read_json,
    read_jsonl,
    remove_parts,
    write_json,
    write_jsonl,
)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "folder"
    for content in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / content).write_text(content)
        assert [file.name for file in path.iterdir()] == [content]
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as temporary:  # noqa: PT012
        (temporary / "newer").write_text("newer")
        raise KeyboardInterrupt
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda one, other: rename(one, other) if ".old" in f"{one}{other}" else fail())

    def fail() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="folder could not be written: the disk is full"), atomic_folder(path):
        pass
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(path.parent.iterdir()) == [path]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), atomic_folder(tmp_path / "file" / "inside"):
        pass


def test_json_comes_back_and_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"größe": [1, None, 2.5]})
    assert read_json(path) == {"größe": [1, None, 2.5]}
    assert "größe" in path.read_text(encoding="utf-8")  # readable for people
    for content in ("{", "[1]", ""):
        path.write_text(content)
        with pytest.raises(AudiosslError, match=r"facts\.json"):
            read_json(path)
    with pytest.raises(AudiosslError, match=r"none\.json"):
        read_json(tmp_path / "none.json")


def test_lines_come_back_and_a_broken_one_is_named_by_its_number(tmp_path: Path) -> None:
    path, rows = tmp_path / "rows.jsonl", [{"id": "a\nb"}, {"id": "c"}]
    write_jsonl(path, rows)
    assert path.read_text().count("\n") == 2
    assert read_jsonl(path) == rows
    path.write_text('{"id": 1}\n{"id"\n')
    with pytest.raises(AudiosslError, match=r"rows\.jsonl, line 2 is not JSON"):
        read_jsonl(path)


def test_only_a_last_line_may_be_cut_and_every_line_is_an_object(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write_jsonl(path, [{"id": "a\u2028b\x85c"}, {}])
    assert read_jsonl(path) == [{"id": "a\u2028b\x85c"}, {}]  # no end of a line is among them
    path.write_text('{"step": 1}\n{"st')
    assert read_jsonl(path, may_be_cut=True) == [{"step": 1}]
    path.write_text("")
    assert read_jsonl(path) == []
    for content, message in (
        (b'{"st\n{"step": 1}\n', "line 1 is not JSON"),
        (b"[1]\n", "line 1 must hold a JSON object, not a list"),
        (b"\xff\n", "is damaged: it is not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
    ):
        path.write_bytes(content)
        with pytest.raises(AudiosslError, match=message):
            read_jsonl(path, may_be_cut=content == b'{"st\n{"step": 1}\n')
    with pytest.raises(AudiosslError, match=r"none\.jsonl cannot be read \(No such file"):
        read_jsonl(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file/x.txt", "file/x.txt cannot be written (Not a directory); choose another place."),
        ("folder", "folder cannot be written (Is a directory); choose another place."),
        ("/proc/x", "/proc/x cannot be written (No such file or directory); choose another place."),
        ("y" * 256, f"{'y' * 256} cannot be written (File name too long); choose another place."),
        ("a\0b", "a\0b cannot be written (a name cannot have the character NUL); choose another place."),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    with pytest.raises(OutputError) as caught:
        write_json(Path(name), {})
    assert str(caught.value).replace("File exists", "Not a directory") == message
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_an_error_of_what_is_to_be_written_stays_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lost\.wav"), atomic_write(tmp_path / "x"):
        (tmp_path / "lost.wav").read_bytes()


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write_json(tmp_path / ("ü" * 127), {})
    assert [path.name for path in tmp_path.iterdir()] == ["ü" * 127]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to("precious")
    write_json(tmp_path / "link", {})
    assert (tmp_path / "precious").read_text() == "mine"
    (tmp_path / "again").symlink_to("precious")
    with pytest.raises(OSError, match="symbolic links"):
        open_no_link(str(tmp_path / "again"), os.O_WRONLY | os.O_TRUNC)
    assert (tmp_path / "precious").read_text() == "mine"


def test_parts_of_writers_that_were_killed_are_removed(tmp_path: Path) -> None:
    for name in (".last.safetensors.0123abcd.part", ".part", "x.part", ".a.b.part"):
        (tmp_path / name).touch()
    remove_parts(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.b.part", ".part", "x.part"]


def test_a_written_file_may_be_read_by_whom_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_json(tmp_path / "facts.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "facts.json").stat().st_mode & 0o777 == 0o644


def test_a_checksum_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOSSL_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.setenv("AUDIOSSL_CACHE", "")
    monkeypatch.setenv("HOME", "/home/ann")
    assert cache_folder() == Path("/home/ann/.cache/audiossl")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/x", True),
        ("memory://x", True),
        ("simplecache::s3://bucket/x", True),
        ("results", False),
        ("/a/s3:/x", False),
        ("C:\\results", False),
    ],
)
def test_urls_are_told_from_paths(text: str, expected: bool) -> None:
    assert is_url(text) == expected
