"""What files were on first use: `checksums.json` in the cache folder, by where they are from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.core.files import atomic_write, cache_folder, file_sha256, read_json
from audiossl.core.locks import lock_file


def check_file(known: dict[str, Any], name: str, path: Path, what: str) -> None:
    """Record a file's sha256 on first use. Raises CheckpointError if it is another one now.

    known: the files of this repository or address in the ledger, by name.
    name: of the file.
    path: where it lies.
    what: where it is from, for the error.
    """
    status = path.stat()
    seen = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    entry = known.get(name)
    if entry is not None and {key: entry[key] for key in seen} == seen:
        return  # not touched since it was last hashed
    found = file_sha256(path)
    if entry is not None and entry["sha256"] != found:
        raise CheckpointError(
            f"{name} of {what} has sha256 {found[:12]}..., not {entry['sha256'][:12]}... as on first use; delete "
            f"{path} to fetch it again, or remove its entry from {cache_folder() / 'checksums.json'} if the change is "
            "wanted."
        )
    known[name] = {"sha256": found, **seen}


@contextmanager
def open_ledger() -> Iterator[dict[str, Any]]:
    """checksums.json, held by one process at a time, and written back if the block ends well.

    Raises CheckpointError where the file is damaged.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checksums.json"
    with open(folder / ".checksums.lock", "w", encoding="utf-8") as lock:
        lock_file(lock)
        try:
            ledger: dict[str, Any] = read_json(path) if path.is_file() else {}
        except AudiosslError as error:
            raise CheckpointError(f"{path} is damaged: delete it to record checksums anew. {error}") from error
        before = json.dumps(ledger, sort_keys=True)
        yield ledger
        if json.dumps(ledger, sort_keys=True) != before:
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(ledger, indent=2, sort_keys=True), encoding="utf-8")
