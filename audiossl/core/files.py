"""Files written in one step, JSON, checksums and the cache folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError, CheckpointError


def cache_folder() -> Path:
    """Where fetched files and their checksums are kept: $AUDIOSSL_CACHE, else ~/.cache/audiossl."""
    return Path(os.environ.get("AUDIOSSL_CACHE") or Path.home() / ".cache" / "audiossl")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` for a file that takes its place at the end. A failure leaves what was there.

    Raises CheckpointError where the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask has it; safetensors makes files that only their owner can read
        yield temporary
        os.chmod(temporary, mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def disk_full(path: Path) -> CheckpointError:
    """The error of a file for which there was no room."""
    return CheckpointError(
        f"{path} could not be written: the disk is full. Free some space and go on; what was there is whole."
    )


def file_sha256(path: Path) -> str:
    """The checksum of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, UTF-8, written atomically."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """One JSON object, indented, UTF-8, written atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote. Raises AudiosslError for a file that is missing, unreadable or no JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AudiosslError(f"{path} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise AudiosslError(f"{path} is not readable JSON ({error}); write it again.") from error
    if not isinstance(value, dict):
        raise AudiosslError(f"{path} must hold a JSON object, not a {type(value).__name__}.")
    return value


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """What `write_jsonl` wrote. Raises AudiosslError for a missing file or a line that is not JSON."""
    if not path.is_file():
        raise AudiosslError(f"There is no {path}; run `audiossl evaluate` first.")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise AudiosslError(f"{path}, line {number} is not JSON ({error.msg}); evaluate again.") from error
    return rows
