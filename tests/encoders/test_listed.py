"""The list of a published folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiossl.core.errors import CheckpointError
from audiossl.encoders.listed import LIST_NAME, is_listed, read_list, require_whole, write_list


@pytest.fixture
def published(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin").write_bytes(b"weights")
    (tmp_path / "run.json").write_text("{}")
    write_list(tmp_path, "run", ["run.json", "a/x.bin"])
    return tmp_path


def test_what_is_listed_is_whole(published: Path) -> None:
    assert is_listed(published)
    listed = require_whole(published)
    assert (listed.kind, list(listed.files)) == ("run", ["a/x.bin", "run.json"])
    (published / "notes.txt").write_text("mine")
    assert require_whole(published) == listed


def test_a_changed_or_missing_file_is_refused(published: Path) -> None:
    (published / "a" / "x.bin").write_bytes(b"Weights")
    with pytest.raises(CheckpointError, match=r"x\.bin has sha256 .* as audiossl\.json lists it: it was changed"):
        require_whole(published)
    (published / "a" / "x.bin").unlink()
    with pytest.raises(CheckpointError, match=r"has no a/x\.bin, which audiossl\.json lists; get it again"):
        require_whole(published)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "a//x", "a\\x", "C:/x", "a/\0", "./x"])
def test_a_list_that_leads_elsewhere_is_refused(published: Path, name: str) -> None:
    (published / LIST_NAME).write_text(json.dumps({"kind": "run", "files": {name: "0"}}))
    with pytest.raises(CheckpointError, match="which is not below it; get it again"):
        read_list(published / LIST_NAME)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "run"}', '{"kind": "run", "files": {"a": 1}}'])
def test_a_damaged_list_is_one_sentence(published: Path, text: str) -> None:
    (published / LIST_NAME).write_text(text)
    with pytest.raises(CheckpointError, match=r"audiossl\.json") as caught:
        require_whole(published)
    assert "\n" not in str(caught.value)


def test_a_kind_of_a_later_version(published: Path) -> None:
    (published / LIST_NAME).write_text('{"kind": "suite", "files": {}}')
    with pytest.raises(CheckpointError, match="of a kind 'suite', which this version does not know; update it"):
        read_list(published / LIST_NAME)
