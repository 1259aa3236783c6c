"""Several results folders as one. A merge that was killed goes on by the same command."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.core.errors import ConfigError
from audiossl.core.files import read_json, write_json
from audiossl.core.outputs import check_out
from audiossl.experiments.suites.identity import differences
from audiossl.experiments.suites.results import CellResult, ResultsFolder

_ORDER = {"failed": 0, "begun": 1, "finished": 2}


def merge_results(folders: Sequence[Path], to: Path) -> list[str]:
    """Put the results of several folders, with their runs and manifests, into one.

    A finished result goes before one that is not.

    folders: of results.
    to: the folder that gets all of them. It may be one of them.
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
    chosen = _chosen(every)
    check_out(to, "folder")
    lines = []
    for folder in sources:
        mine = [result for owner, result in chosen.values() if owner is folder]
        for result in mine:
            _copy(result, folder, target)
        _copy_missing(folder.path / "data", to / "data")
        _copy_missing(folder.path / "encoders", to / "encoders")
        lines.append(f"{folder}: {len(mine)} results taken.")
    write_json(target.lock_path, lock)
    target.collect()
    return lines


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


def _chosen(folders: Sequence[ResultsFolder]) -> dict[Path, tuple[ResultsFolder, CellResult]]:
    """For each cell, which folder's result is taken, by its place. Raises ConfigError for two that contradict."""
    found: dict[Path, tuple[ResultsFolder, CellResult]] = {}
    for folder in folders:
        for result in folder.results():
            place = folder.cell(result.task, result.upstream, result.seed, result.fold).relative_to(folder.path)
            owner, before = found.get(place, (folder, None))
            if before is None or _ORDER[result.state] > _ORDER[before.state]:
                found[place] = folder, result
            elif before.state == result.state == "finished" and before.key != result.key:
                why = ", ".join(differences(before.identity, result.identity)) or "another version"
                raise ConfigError(
                    f"{owner} and {folder} have different results of {result.title} ({why}); remove the older one, "
                    f"{folder.path / place} or {owner.path / place}, or compute it again."
                )
    return found


def _copy(result: CellResult, source: ResultsFolder, target: ResultsFolder) -> None:
    """The run of a cell, then its result: what has a result is whole."""
    if result.run and not result.fold:
        _copy_missing(source.path / result.run, target.path / result.run)
    elif result.run:
        # A fold lies in the run of all folds, which says what they are.
        whole = source.run(result.task, result.upstream, result.seed)
        _copy_missing(whole, target.run(result.task, result.upstream, result.seed))
    if result.log:
        _copy_missing(source.path / result.log, target.path / result.log)
    target.write(result)


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
