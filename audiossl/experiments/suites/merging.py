"""Several results folders as one. A merge that was killed goes on by the same command."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.errors import ConfigError
from audiossl.core.files import read_json, write_json
from audiossl.core.outputs import check_out
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.identity.keys import differences
from audiossl.experiments.suites.results import CellResult, ResultsFolder

_ORDER = {"failed": 0, "begun": 1, "finished": 2}


class _Held(NamedTuple):
    """A result, and the folder that it is in."""

    folder: ResultsFolder
    result: CellResult


def merge_results(folders: Sequence[Path], to: Path, *, newest: bool = False) -> list[str]:
    """Put the results of several folders, with their runs and manifests, into one.

    A finished result goes before one that is not.

    folders: of results.
    to: the folder that gets all of them. It may be one of them.
    newest: whether the newer of two different results of one cell is taken.
    Returns a line for each folder. Raises ConfigError, before anything is copied, where two folders have different
    results of one cell or are of different suites.
    """
    sources = [ResultsFolder(path) for path in folders if path.resolve() != to.resolve()]
    target = ResultsFolder(to)
    every = [*([target] if target.cells_path.is_dir() else []), *sources]
    for folder in sources:
        if not folder.cells_path.is_dir():
            raise ConfigError(f"{folder} has no results; give a folder that `audiossl suite run` wrote.")
    lock = _merged_lock(every)
    chosen = [held for group in _grouped(every).values() for held in _chosen(group, newest=newest)]
    check_out(to, "folder")
    write_json(target.lock_path, lock)  # first: a folder with results is always one that can be merged
    lines = []
    for folder in sources:
        mine = [held.result for held in chosen if held.folder is folder]
        # All folds before the cell that pools them.
        for result in sorted(mine, key=lambda each: not each.fold):
            _copy(result, folder, target)
        _copy_missing(folder.path / "data", to / "data")
        _copy_missing(folder.path / "encoders", to / "encoders")
        lines.append(f"{folder}: {len(mine)} results taken.")
    target.collect()
    return [*lines, *_other_rows(chosen)]


def _merged_lock(folders: Sequence[ResultsFolder]) -> dict[str, Any]:
    """suite.json of all together. Raises ConfigError where they are of different suites."""
    merged: dict[str, Any] = {}
    for folder in folders:
        said = read_json(folder.lock_path)
        mine, theirs = (each.get("suite", {}) for each in (said, merged))
        if merged and (mine.get("name"), mine.get("version")) != (theirs.get("name"), theirs.get("version")):
            raise ConfigError(
                f"{folder} is of the suite {mine.get('name')} version {mine.get('version')}, and {folders[0]} of "
                f"{theirs.get('name')} version {theirs.get('version')}, which are not comparable; merge folders of one "
                f"suite."
            )
        tasks = {**theirs.get("tasks", {}), **mine.get("tasks", {})}
        encoders = {**merged.get("encoders", {}), **said.get("encoders", {})}
        merged = {**said, "suite": {**mine, "tasks": tasks}, "encoders": encoders}
    return merged


def _grouped(folders: Sequence[ResultsFolder]) -> dict[tuple[str, str, int], list[_Held]]:
    """All results by their cell. Those of its folds are among them."""
    groups: dict[tuple[str, str, int], list[_Held]] = {}
    for folder in folders:
        for result in folder.results():
            groups.setdefault((result.task, result.upstream, result.seed), []).append(_Held(folder, result))
    return groups


def _chosen(group: list[_Held], *, newest: bool) -> Iterator[_Held]:
    """What is taken of a cell: one result for the whole, and one for each fold. Raises ConfigError for a contradiction.

    group: all results of the cell and its folds.
    newest: take the newer of two that contradict.
    """
    finished = [held for held in group if held.result.state == "finished" and not held.result.fold]
    first = finished[0] if finished else None
    for other in finished[1:]:
        if first and other.result.key != first.result.key and not newest:
            why = ", ".join(differences(first.result.identity, other.result.identity)) or "another version"
            ways = " or ".join(str(held.folder.cell(*_place(held.result))) for held in (other, first))
            raise ConfigError(
                f"{first.folder} and {other.folder} have different results of {first.result.title} ({why}); take the "
                f"newer ones with --newest, or remove {ways}."
            )
    # Folds of one experiment are never pooled with those of another.
    owner = max(reversed(finished or group), key=lambda held: held.result.created)
    best: dict[str, _Held] = {}
    for held in group:
        before = best.get(held.result.fold)
        if held.result.identity != owner.result.identity:
            continue
        if before is None or _ORDER[held.result.state] > _ORDER[before.result.state]:
            best[held.result.fold] = held
    yield from best.values()


def _place(result: CellResult) -> tuple[str, str, int, str]:
    return result.task, result.upstream, result.seed, result.fold


def _other_rows(chosen: Sequence[_Held]) -> Iterator[str]:
    """A line for each task whose results are not of the same recordings, as far as their files tell."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for held in chosen:
        rows: Mapping[str, str] = held.result.identity.manifests
        found.setdefault(held.result.task, set()).add(tuple(sorted(rows.values())))
    for task, different in found.items():
        if len(different) > 1:
            yield (
                f"{task}: the manifests of its results differ, at least in the dates of recordings; another `suite "
                f"run` computes those again that are not of the manifests taken here."
            )


def _copy(result: CellResult, source: ResultsFolder, target: ResultsFolder) -> None:
    """The run of a cell, then its result: what has a result is whole."""
    whole = source.run(result.task, result.upstream, result.seed)
    mine = target.run(result.task, result.upstream, result.seed)
    place = target.cell(*_place(result))
    before = target.read(place) if place.is_file() else None
    if before is not None and before.identity != result.identity:
        _remove(mine)
        for path in target.folds(result.task, result.upstream, result.seed):
            if target.read(path).identity != result.identity:
                path.unlink()
    elif before is not None and before != result and not result.folds:
        # What was begun or failed here is not mixed with what was finished there.
        _remove(RunFolder(mine).fold(result.fold).path if result.fold else mine)
    if result.run:
        _copy_missing(whole, mine)
    if result.log:
        _copy_missing(source.path / result.log, target.path / result.log)
    target.write(result)


def _remove(run: Path) -> None:
    """Take a run folder away, whole or not at all."""
    if run.is_dir():
        aside = run.with_name(f".{run.name}.{uuid.uuid4().hex[:8]}.part")
        run.rename(aside)
        shutil.rmtree(aside)


def _copy_missing(source: Path, target: Path) -> None:
    """A file or folder, without what is there already. Files get their name when they are whole."""
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if not path.is_symlink():
                _copy_missing(path, target / path.name)
    elif source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:32]}.merging.part")
        shutil.copy2(source, part)
        part.replace(target)
