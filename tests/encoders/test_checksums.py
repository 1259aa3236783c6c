"""The record of what files were on first use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiossl.core.errors import CheckpointError
from audiossl.core.files import cache_folder
from audiossl.encoders.checksums import check_file, open_ledger


def checked(path: Path) -> None:
    with open_ledger() as ledger:
        check_file(ledger.setdefault("them/model", {}), path.name, path, "them/model")


def test_a_file_is_recorded_once_and_another_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"first")
    checked(path)
    checked(path)
    os.utime(path, ns=(1, 1))  # touched, and the same
    checked(path)
    path.write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"^weights.bin of them/model has sha256 .* as on first use; delete "):
        checked(path)


def test_a_damaged_record_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"first")
    checked(path)
    (cache_folder() / "checksums.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"checksums.json is damaged: delete it to record checksums anew"):
        checked(path)
