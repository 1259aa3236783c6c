"""Running a suite: manifests, hidden states, cells, folds together. Each step gives its units to an executor.

All state is in the results folder. A run that is interrupted goes on by the same command, and one that has nothing to
do says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from audiossl.core.errors import AudiosslError, TrainingError
from audiossl.core.files import open_no_link, remove_parts
from audiossl.core.locks import lock_file, try_lock_file
from audiossl.core.outputs import check_out
from audiossl.encoders.kept import forget_encoder
from audiossl.experiments.executors.contract import Executor
from audiossl.experiments.suites.definition import Suite
from audiossl.experiments.suites.lockfile import write_lock
from audiossl.experiments.suites.plan import Asked, Cell, Plan, make_plan, result_elsewhere
from audiossl.experiments.suites.recipes import is_prepared, prepare
from audiossl.experiments.suites.results import CellResult, ResultsFolder, folder_of
from audiossl.experiments.suites.runner import Runner, RunOptions


def run_suite(
    asked: Asked, folder: ResultsFolder, executor: Executor, options: RunOptions, say: Callable[[str], None]
) -> Plan:
    """Compute what is missing of a suite.

    asked: what is wanted.
    folder: of the results.
    executor: what runs the units.
    options: how.
    say: gets a line for all that happens.
    Returns the plan as it is at the end. Raises OutputError where the folder cannot be written, TrainingError where
    another process works in it.
    """
    with _locked(folder, options.share, say):
        write_lock(asked, folder)
        plan = _prepared(asked, folder, say)
        for name, why in plan.left_out.items():
            say(f"{name}: left out, because {why}.")
        which, total = options.share
        # Counted over all cells, those that are done included: another share may have ended before this one begins.
        mine = [cell for number, cell in enumerate(plan.cells) if number % total == which]
        for cell in mine:
            if cell.state == "elsewhere":
                _copy(cell, asked.suite, folder, say)
            elif cell.state == "stale":
                say(f"{cell.title}: computed again, because of {cell.why}.")
        try:
            Runner(asked.suite, folder, executor, options, say).run([cell for cell in mine if cell.is_wanted])
        finally:
            forget_encoder()  # where this process has computed
        folder.collect()
    return make_plan(asked, folder)


@contextmanager
def _locked(folder: ResultsFolder, share: tuple[int, int], say: Callable[[str], None]) -> Iterator[None]:
    """Nobody else computes in the folder, but for other shares of the same cells.

    folder: of the results.
    share: (which, of how many) of the cells.
    say: gets a line where a share has to wait.
    """
    check_out(folder.path, "folder")
    folder.path.mkdir(parents=True, exist_ok=True)
    which, total = share
    with open(folder.path / ".lock", "a", encoding="utf-8", opener=open_no_link) as whole:
        if total == 1 and not try_lock_file(whole):
            raise TrainingError(
                f"Another `suite run` works in {folder}; wait for it, choose another --out, or give each a share of "
                f"the cells with --shard 1/2 and --shard 2/2."
            )
        if total == 1:  # nobody writes here, so that halves are those of writers that were killed
            for cells in folder.cells_path.glob("*/*/*"):
                remove_parts(cells)
            yield
            return
        if not try_lock_file(whole, shared=True):
            say(f"A `suite run` of all cells works in {folder}; this share begins when it has ended.")
            lock_file(whole, shared=True)
        own_path = folder.path / f".lock-{which + 1}-of-{total}"
        with open(own_path, "a", encoding="utf-8", opener=open_no_link) as own:
            if not try_lock_file(own):
                raise TrainingError(f"Another process computes the share {which + 1}/{total} in {folder} already.")
            yield


def _prepared(asked: Asked, folder: ResultsFolder, say: Callable[[str], None]) -> Plan:
    """The plan, with manifests for all cells whose recordings are there. One share makes them, and others wait."""
    with open(folder.path / ".lock-manifests", "a", encoding="utf-8", opener=open_no_link) as file:
        lock_file(file)
        return _with_manifests(asked, folder, say)


def _with_manifests(asked: Asked, folder: ResultsFolder, say: Callable[[str], None]) -> Plan:
    plan = make_plan(asked, folder)
    lacking: dict[str, dict[str, Any]] = {}
    for cell in plan.cells:
        if not is_prepared(cell.config):
            lacking.setdefault(cell.task.partition("/")[0], {})[cell.task] = cell.definition
    if not lacking:
        return plan
    left_out: dict[str, str] = {}
    for recipe, tasks in lacking.items():
        say(f"Preparing {recipe}.")
        try:
            prepare(recipe, tasks, asked.data, folder.path)
        except AudiosslError as error:
            left_out |= dict.fromkeys(tasks, str(error).rstrip("."))
    kept = replace(asked.suite, tasks={name: task for name, task in asked.suite.tasks.items() if name not in left_out})
    again = make_plan(asked._replace(suite=kept), folder)
    return replace(again, suite=asked.suite, left_out={**again.left_out, **left_out})


def _copy(cell: Cell, suite: Suite, folder: ResultsFolder, say: Callable[[str], None]) -> None:
    """Take over a result that another folder has."""
    found = result_elsewhere(cell.key)
    if found is None:
        return
    other, result = found
    here = folder.run(cell.task, cell.encoder.choice.label, cell.seed)
    say(f"{cell.title}: taken from {other}.")
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(other.path / result.run, here, symlinks=True)
    whole = other.cell(result.task, result.upstream, result.seed)
    for path in [*other.folds(result.task, result.upstream, result.seed), whole]:
        copied = _moved(other.read(path), folder, cell.encoder.choice.label)
        # The key is that of the experiment. Another suite may read another of its figures.
        copied = replace(copied, metric=cell.definition.metric, mode=cell.definition.mode)
        folder.write(replace(copied, suite=suite.name, suite_version=suite.version))


def _moved(result: CellResult, folder: ResultsFolder, upstream: str) -> CellResult:
    """A result of another folder with the paths of this one, and the name that the encoder has here."""
    old, new = f"/{folder_of(result.upstream)}/", f"/{folder_of(upstream)}/"
    places = {name: getattr(result, name).replace(old, new, 1) for name in ("run", "chosen", "predictions")}
    return replace(result, upstream=upstream, **places)
