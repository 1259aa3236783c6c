"""Files written in one step, JSON, checksums and the cache folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from audiossl.core.errors import AudiosslError, OutputError, first_line

_PART = ".part"
_LONGEST_NAME = 255  # bytes, on every file system in use
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_folder() -> Path:
    """Where fetched files and their checksums are kept: $AUDIOSSL_CACHE, else ~/.cache/audiossl."""
    return Path(os.environ.get("AUDIOSSL_CACHE") or Path.home() / ".cache" / "audiossl")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` for a file that takes its place at the end. A failure leaves what was there.

    A link is replaced itself, and what it points to stays as it is.
    Raises OutputError where the file cannot be written.
    """
    path = Path(path)
    try:
        check_name(path)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from error
    temporary = path.parent / f".{path.name[:32]}.{uuid.uuid4().hex[:8]}{_PART}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask has it; safetensors makes files that only their owner can read
        yield temporary
        os.chmod(temporary, mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        elsewhere = error.filename is not None and Path(error.filename) not in (temporary, path, *path.parents)
        if isinstance(error, AudiosslError) or elsewhere:
            raise  # of what was to be written, not of where
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that takes its place at the end. A failure leaves what was there.

    Raises OutputError where it cannot be written.
    """
    path = Path(path)
    try:
        check_name(path)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from error
    stem = f".{path.name[:32]}.{uuid.uuid4().hex[:8]}"
    temporary, earlier = (path.parent / f"{stem}{ending}{_PART}" for ending in ("", ".old"))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        with suppress(FileNotFoundError):
            os.rename(path, earlier)
        os.rename(temporary, path)
    except OSError as error:
        at = temporary if error.filename is None else Path(error.filename)
        here = at in (path, *path.parents) or at.is_relative_to(temporary)
        if isinstance(error, AudiosslError) or not here:
            raise  # of what was to be written, not of where
        raise unwritable(path, error) from error
    finally:
        if earlier.exists() and not path.exists():
            os.rename(earlier, path)
        for folder in (temporary, earlier):
            if folder.is_symlink():
                folder.unlink()
            shutil.rmtree(folder, ignore_errors=True)


def check_name(path: Path) -> None:
    """Raise OSError or ValueError for a path that no file can have: too long a name, or characters that are none."""
    if "\0" in str(path):
        raise ValueError("a name cannot have the character NUL")
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def unwritable(path: Path, error: Exception) -> OutputError:
    """The error of a file or folder that could not be written, in a sentence that says what to do."""
    number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or first_line(error)
    if number in _NO_ROOM:
        full = "its disk takes no larger files" if number == errno.EFBIG else "the disk is full"
        sentence = f"could not be written: {full}. Free some space and go on; what was there is whole."
    else:
        sentence = f"cannot be written ({reason}); choose another place."
    made = OutputError(f"{path} {sentence}")
    made.errno, made.strerror = number, reason
    return made


class AtomicWriter:
    """A context in which `out` is written bit by bit. What `_stack` holds is closed when it ends, well or not.

    Raises OutputError where there is no room for a part.
    """

    def __init__(self, out: str | Path) -> None:
        self.out, self._stack = Path(out), ExitStack()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if isinstance(error, OSError) and error.filename is None and not isinstance(error, AudiosslError):
            raise unwritable(self.out, error) from error


def is_url(text: str) -> bool:
    """Whether a place is named by a URL, as fsspec knows them, and not by a path.

    >>> is_url("s3://bucket/results"), is_url("simplecache::s3://bucket/x"), is_url("results/mini")
    (True, True, False)
    """
    return re.match(r"[A-Za-z][\w+.-]*(::|://)", text) is not None


def open_no_link(path: str, flags: int) -> int:
    """An opener for `open` that follows no link, so that nothing but the file itself is written or emptied."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def remove_parts(folder: Path) -> None:
    """Remove what writers of files in a folder have left that were killed. Nobody may be writing there."""
    for path in folder.glob(f".*.????????{_PART}"):
        path.unlink(missing_ok=True)


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
    except (ValueError, RecursionError) as error:
        raise AudiosslError(f"{path} is not readable JSON ({first_line(error)}); write it again.") from error
    if not isinstance(value, dict):
        raise AudiosslError(f"{path} must hold a JSON object, not a {type(value).__name__}.")
    return value


def read_jsonl(path: Path, *, may_be_cut: bool = False) -> list[dict[str, Any]]:
    """JSON objects, one a line, as `write_jsonl` wrote them.

    path: of the file.
    may_be_cut: leave out a last line that is no JSON, where the writer may have been stopped in it.
    Raises AudiosslError for a file that is missing, is not UTF-8, or has a line that is no JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise AudiosslError(f"{path} cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise AudiosslError(f"{path} is damaged: it is not UTF-8 ({error.reason}); write it again.") from error
    rows = []
    lines = text.split("\n") if text else []  # not `splitlines`: a text may have other line ends inside
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if may_be_cut and number == len(lines):
                break
            raise AudiosslError(
                f"{path}, line {number} is not JSON ({first_line(error)}); mend or remove it."
            ) from error
        if not isinstance(row, dict):
            raise AudiosslError(
                f"{path}, line {number} must hold a JSON object, not a {type(row).__name__}; mend or remove it."
            )
        rows.append(row)
    return rows
