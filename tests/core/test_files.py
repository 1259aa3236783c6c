"""Files that are written whole or not at all; JSON; checksums; the cache folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.core.files import (
    atomic_write,
    cache_folder,
    file_sha256,
    read_json,
    read_jsonl,
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
