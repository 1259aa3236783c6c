"""Results folders behind a URL: `s3://bucket/results`, `file:///shared/results`, and what else fsspec knows.

The work is done in a folder of this machine, below the cache folder. What is behind the URL is fetched before, and what
changed is sent after each part of the plan and at the end. Nobody who reads there sees half a file, nor the result of
a cell whose run is not there yet. What could not be sent stays here, and goes with the next command.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from audiossl.core.addresses import CREDENTIALS, is_refused
from audiossl.core.errors import AudiosslError, ConfigError, OutputError, first_line
from audiossl.core.files import cache_folder, is_url, read_json, unwritable, write_json
from audiossl.core.locks import lock_file, try_lock_file
from audiossl.experiments.executors.contract import Executor, Outcome, Unit
from audiossl.experiments.suites.merging import merge_results
from audiossl.experiments.suites.results import LOCK_FILE, RESULTS_FILE

# Where a file is seen while it grows. Object stores show it when it is whole.
_GROWING = ("file", "local", "sftp", "ssh", "smb", "ftp", "hdfs", "arrow_hdfs", "webhdfs")
# They have no folders, and asking for one may make a bucket of a misspelt name.
_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci")
_AT_ONCE = 2**25  # bytes of a file that is sent in one call
_Files = dict[str, Any]


def results_at(text: str) -> Path:
    """The results folder, or the file suite.json, that a user named. What is behind a URL is fetched.

    Raises ConfigError for a URL that this machine cannot read, OutputError where it does not answer.
    """
    if not is_url(text):
        return Path(text)
    folder = text.removesuffix(f"/{LOCK_FILE}")
    mirror = Mirror(folder)
    mirror.pull()
    return mirror.path / LOCK_FILE if folder != text else mirror.path


class WorkingFolder:
    """Where a command works.

    path: the folder on this machine.
    mirror: the URL that it is sent to. None where the user named the folder itself.
    """

    def __init__(self, path: Path, mirror: Mirror | None = None) -> None:
        self.path, self.mirror = path, mirror

    def through(self, executor: Executor) -> Executor:
        """The executor, with what changed sent after each outcome."""
        return _Sending(executor, self.mirror) if self.mirror else executor


@contextmanager
def working_folder(out: str, say: Callable[[str], None]) -> Iterator[WorkingFolder]:
    """A results folder to write to, by its path or URL. At the end all is behind the URL, whatever happened inside.

    out: what the user named.
    say: gets a line where something could not be sent.
    Raises as `results_at`, and OutputError at the end where something could not be sent.
    """
    if not is_url(out):
        yield WorkingFolder(Path(out))
        return
    mirror = Mirror(out, say)
    mirror.pull()
    try:
        yield WorkingFolder(mirror.path, mirror)
    except BaseException:
        with mirror.trying():
            mirror.finish()
        raise
    mirror.finish()


class _Sending:
    """An executor whose outcomes are sent when their taker has written them down."""

    def __init__(self, executor: Executor, mirror: Mirror) -> None:
        self.executor, self.mirror = executor, mirror

    @property
    def width(self) -> int:
        return self.executor.width

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        for outcome in self.executor.run(units, retries=retries):
            yield outcome
            with self.mirror.trying():
                self.mirror.push()


class Mirror:
    """A results folder behind a URL, and the folder of this machine that stands for it.

    url: any that fsspec knows.
    say: gets a line where something could not be sent.
    Raises ConfigError for a URL that nothing on this machine can read.
    """

    def __init__(self, url: str, say: Callable[[str], None] = print) -> None:
        import fsspec

        self.url, self.say, self._has_said = url, say, False
        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise ConfigError(
                f"{url} needs a package that is not installed ({first_line(error)}); install it, or name a folder."
            ) from error
        except Exception as error:
            raise ConfigError(f"{url} is no place for results ({first_line(error)}); name a folder.") from error
        self.root = str(root).rstrip("/")
        name = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]
        self.path = cache_folder() / "suites" / "remote" / name
        self._state_path, self._lock_path = (self.path.with_name(f"{name}.{end}") for end in ("json", "lock"))

    def pull(self) -> bool:
        """Fetch what others have sent since the last time. Returns whether there was something.

        Nothing is fetched while a command of this machine works in the folder: it has fetched it.
        """
        with self._alone() as nobody_works:
            return self._pull() if nobody_works else False

    def push(self) -> None:
        """Send what changed, the results of cells after their runs. What is about all cells waits for `finish`."""
        with self._alone():
            self._push(_is_of_cell)

    def finish(self) -> None:
        """Send all that changed. What other machines have sent is in the list of all cells, too."""
        self.pull()
        with self._alone():
            self._push(lambda name: True)

    @contextmanager
    def trying(self) -> Iterator[None]:
        """What cannot be sent is said once, and goes with the next call."""
        try:
            yield
        except OutputError as error:
            if not self._has_said:
                self.say(str(error))
            self._has_said = True

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Nobody else fetches or sends. Gives whether nobody computes in the folder either."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._lock_path, "a", encoding="utf-8") as own:
            lock_file(own)
            if not (self.path / ".lock").is_file():
                yield True
                return
            with open(self.path / ".lock", "a", encoding="utf-8") as running:
                yield try_lock_file(running)

    def _pull(self) -> bool:
        state, there = self._state(), self._listed()
        known = state["remote"]
        for name, info in there.items():
            # What was sent from here is known by its size only, until it is seen in a list.
            if name in known and known[name] is None and info["size"] == state["sent"].get(name, [None])[0]:
                known[name] = _mark(info)
        is_new = not self.path.exists()
        changed = {name for name, info in there.items() if is_new or known.get(name) != _mark(info)}
        wanted = changed if is_new else _with_cells(changed, there)
        if not wanted:
            return False
        incoming = self.path.with_name(f"{self.path.name}.incoming")
        shutil.rmtree(incoming, ignore_errors=True)
        with self._reaching("read"):
            for name in sorted(wanted):
                (incoming / name).parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(self._at(name), str(incoming / name))
        taken = {name: _state_of(incoming / name) for name in wanted}
        if is_new:
            incoming.rename(self.path)
        elif (incoming / "cells").is_dir() and (incoming / LOCK_FILE).is_file():
            merge_results([incoming], self.path, newest=True)
        shutil.rmtree(incoming, ignore_errors=True)
        same = {name: at for name, at in taken.items() if _state_of(self.path / name) == at}
        marks = {name: _mark(info) for name, info in there.items()}
        self._write_state(remote=known | marks, sent=state["sent"] | same)
        return True

    def _push(self, wanted: Callable[[str], bool]) -> None:
        state = self._state()
        # Results are read before anything is sent, so that all of their runs is sent before them.
        results = {name: found for name, found in self._results(state["sent"]) if wanted(name)}
        files = [name for name in self._changed(state["sent"]) if not _is_result(name)]
        try:
            for name in files:
                before = _state_of(self.path / name)
                with suppress(FileNotFoundError):  # a worker has removed it meanwhile
                    self._send(name, None)
                    state["sent"][name], state["remote"][name] = before, None
            for name, (before, content) in results.items():
                self._send(name, content)
                state["sent"][name], state["remote"][name] = before, None
            self._remove_old_runs(results, state["remote"])
        finally:
            if files or results:
                self._write_state(**state)

    def _changed(self, sent: Mapping[str, Any]) -> list[str]:
        return [name for name in self._here() if _state_of(self.path / name) != sent.get(name)]

    def _results(self, sent: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, bytes]]]:
        """What changed of the results of cells and, last, of the files about all of them."""
        for name in sorted(self._changed(sent), key=lambda name: not _is_of_cell(name)):
            before = _state_of(self.path / name)
            if _is_result(name) and before is not None:
                yield name, (before, (self.path / name).read_bytes())

    def _remove_old_runs(self, results: Mapping[str, Any], remote: dict[str, Any]) -> None:
        """What is left behind the URL of runs that were computed again."""
        runs = tuple(
            f"runs/{name.removeprefix('cells/').removesuffix('.json')}/"
            for name in results
            if re.search(r"^cells/.*/seed\d+\.json$", name)
        )
        for name in [name for name in remote if name.startswith(runs) and not (self.path / name).exists()]:
            with self._reaching("written"):
                if self.fs.exists(self._at(name)):
                    self.fs.rm_file(self._at(name))
            del remote[name]

    def _send(self, name: str, content: bytes | None) -> None:
        """Send a file.

        name: of it.
        content: of it. None for what is on the disk when it is read.
        """
        source, target = self.path / name, PurePosixPath(self._at(name))
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        grows = not protocols.isdisjoint(_GROWING)
        part = str(target.with_name(f".{target.name[:32]}.{uuid.uuid4().hex[:8]}.part") if grows else target)
        large = content is None and source.stat().st_size > _AT_ONCE
        if content is None:
            content = b"" if large else source.read_bytes()
        with self._reaching("written"):
            if protocols.isdisjoint(_BUCKETS):
                self.fs.makedirs(str(target.parent), exist_ok=True)
            if large:
                self.fs.put_file(str(source), part)
            else:
                self.fs.pipe_file(part, content)
            if grows:
                self.fs.mv(part, str(target))

    def _here(self) -> list[str]:
        """Names of the files of this machine that belong to the results."""
        paths = (path for path in sorted(self.path.rglob("*")) if path.is_file() and not path.is_symlink())
        return [name for name in (path.relative_to(self.path).as_posix() for path in paths) if _is_ours(name)]

    def _listed(self) -> dict[str, _Files]:
        """What is behind the URL, by name."""
        with self._reaching("read"):
            self.fs.invalidate_cache()
            found = self.fs.find(self.root, detail=True) if self.fs.exists(self.root) else {}
        start = len(self.root) + 1
        return {str(path)[start:]: info for path, info in found.items() if _is_ours(str(path)[start:])}

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    @contextmanager
    def _reaching(self, done: str) -> Iterator[None]:
        """What the packages behind fsspec raise, as a sentence: each has errors of its own."""
        try:
            yield
        except AudiosslError:
            raise
        except Exception as error:
            named = Path(str(getattr(error, "filename", None) or "/"))
            if named.is_relative_to(self.path.parent):
                raise unwritable(named, error) from error
            fix = f"{CREDENTIALS}. What" if is_refused(error) else "what"
            raise OutputError(
                f"{self.url} cannot be {done} ({first_line(error)}); {fix} was computed is whole in {self.path}, and "
                f"the same command goes on."
            ) from error

    def _state(self) -> dict[str, _Files]:
        """By name, the marks of what is behind the URL, and the size and time of what was sent or fetched."""
        try:
            said = read_json(self._state_path)
            return {name: dict(said[name]) for name in ("remote", "sent")}
        except (AudiosslError, KeyError, TypeError, ValueError):
            return {"remote": {}, "sent": {}}

    def _write_state(self, remote: _Files, sent: _Files) -> None:
        write_json(self._state_path, {"remote": remote, "sent": sent})


def _mark(info: Mapping[str, Any]) -> str:
    """What changes with a file: whatever its place tells of it (a checksum, a time)."""
    return hashlib.sha256(json.dumps(dict(info), sort_keys=True, default=str).encode()).hexdigest()[:16]


def _with_cells(changed: set[str], there: Mapping[str, Any]) -> set[str]:
    """All files of each upstream and task of which one has changed, so that a run comes whole."""
    wanted = changed - {RESULTS_FILE}
    groups = {tuple(name.split("/")[1:4]) for name in wanted if name.startswith(("cells/", "runs/"))}
    wanted |= {name for name in there if name.startswith(("cells/", "runs/")) and tuple(name.split("/")[1:4]) in groups}
    return wanted | ({LOCK_FILE} & there.keys() if groups else set())


def _is_ours(name: str) -> bool:
    """Whether a file belongs to the results: no lock, nothing half-written, nothing outside of the folder."""
    parts = name.split("/")
    return all(part and not part.startswith(".") for part in parts) and "\\" not in name


def _state_of(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _is_of_cell(name: str) -> bool:
    return name.startswith("cells/")


def _is_result(name: str) -> bool:
    return _is_of_cell(name) or name in (LOCK_FILE, RESULTS_FILE)
