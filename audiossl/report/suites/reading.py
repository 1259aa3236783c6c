"""A results folder as tables and pages read it: what was asked for, what there is, and the predictions behind it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError
from audiossl.core.files import read_json
from audiossl.core.types import Metric
from audiossl.experiments.suites.definition import Suite, SuiteTask
from audiossl.experiments.suites.results import CellResult, ResultsFolder
from audiossl.report.runs import Evaluation, is_inside, read_evaluation


@dataclass(frozen=True)
class SuiteResults:
    """What a results folder holds.

    folder: where it is.
    suite: as it was when it was run.
    cells: all results, also of folds and of what failed.
    notes: what a reader must know of the folder.
    """

    folder: ResultsFolder
    suite: Suite
    cells: list[CellResult]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def tasks(self) -> list[str]:
        """In the order of the suite, then those that only the folder has."""
        return list(dict.fromkeys([*self.suite.tasks, *(cell.task for cell in self.cells)]))

    @cached_property
    def upstreams(self) -> list[str]:
        return list(dict.fromkeys(cell.upstream for cell in self.cells))

    def task(self, name: str) -> SuiteTask:
        """The definition of a task. One that the suite does not have is as its cells say."""
        if name in self.suite.tasks:
            return self.suite.tasks[name]
        cell = next(cell for cell in self.cells if cell.task == name)
        return SuiteTask(metric=cell.metric, mode=cell.mode)

    def title(self, task: str) -> str:
        """What a task is called in a table."""
        return self.task(task).title or task

    def whole(self, task: str, upstream: str) -> list[CellResult]:
        """Finished cells with the figure of the suite, one for each seed: all folds together where there are folds."""
        metric = self.task(task).metric
        return [cell for cell in self._by_place.get((task, upstream, ""), []) if metric in cell.metrics]

    def folds(self, task: str, upstream: str) -> list[CellResult]:
        """Finished cells of folds, by seed and fold."""
        places = [key for key in self._by_place if key[:2] == (task, upstream) and key[2]]
        return [cell for key in places for cell in self._by_place[key]]

    def computed(self, upstream: str, task: str = "") -> list[CellResult]:
        """Finished cells of an encoder whose costs add up: that of all folds together is the sum of theirs.

        upstream: the encoder.
        task: one of the tasks. '' for all.
        """
        mine = [
            cell
            for cell in self.cells
            if cell.upstream == upstream and cell.state == "finished" and task in ("", cell.task)
        ]
        whole = {(cell.task, cell.seed) for cell in mine if not cell.fold}
        return [cell for cell in mine if not cell.fold or (cell.task, cell.seed) not in whole]

    @property
    def failures(self) -> list[CellResult]:
        return [cell for cell in self.cells if cell.state == "failed"]

    def first(self, upstream: str) -> CellResult:
        """The cell that tells of an encoder: the first one that was finished."""
        mine = [cell for cell in self.cells if cell.upstream == upstream]
        return next((cell for cell in mine if cell.state == "finished"), mine[0])

    def evaluation(self, cell: CellResult) -> Evaluation | None:
        """Predictions and facts behind a cell, None where they are not in the folder."""
        path = self.folder.path / cell.predictions
        metrics = path.parent / "metrics.json"
        if not cell.predictions or not is_inside(path, self.folder.path) or not metrics.is_file():
            return None
        return read_evaluation(metrics, path, [], "")

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], list[CellResult]]:
        found: dict[tuple[str, str, str], list[CellResult]] = {}
        for cell in self.cells:
            if cell.state == "finished":
                found.setdefault((cell.task, cell.upstream, cell.fold), []).append(cell)
        return found


def read_results(results: ResultsFolder | Path | str) -> SuiteResults:
    """What a results folder holds. Raises AudiosslError for one without results, or with damaged ones."""
    folder = results if isinstance(results, ResultsFolder) else ResultsFolder(results)
    cells = list(folder.results()) if folder.cells_path.is_dir() else []
    if not cells:
        raise AudiosslError(
            f"{folder} holds no results; give a folder that `audiossl suite run` wrote, after its first cell is done."
        )
    notes: list[str] = []
    suite = _suite_of(folder, cells, notes)
    versions = Counter(cell.suite_version for cell in cells if cell.suite == suite.name)
    if len(versions) > 1:
        what = " and ".join(f"{count} of version {version}" for version, count in sorted(versions.items()))
        notes.append(f"cells of several versions of the suite are mixed ({what}): their figures may not be comparable")
    return SuiteResults(folder, suite, cells, notes)


def metric_title(name: str) -> str:
    """
    >>> metric_title("eer"), metric_title("min_dcf_p01"), metric_title("accuracy"), metric_title("map")
    ('EER', 'min DCF p01', 'accuracy', 'mAP')
    """
    upper = ("eer", "wer", "cer", "per", "uar", "ua", "wa", "f1", "dcf", "auroc", "mtwv", "der")
    words = {word: word.upper() for word in upper} | {"map": "mAP"}
    return " ".join(words.get(word, word) for word in name.split("_"))


def trained_on_test(test_sets: list[str], trained_on: list[str]) -> list[str]:
    """The test sets that what is said of an encoder's training names. Case and punctuation do not count.

    >>> trained_on_test(["LibriSpeech", "ESC-50"], ["960 hours of Librispeech"])
    ['LibriSpeech']
    """
    said = " ".join(f" {_plain(text)} " for text in trained_on)
    return [name for name in test_sets if _plain(name) and f" {_plain(name)}" in said]


def shown_value(metric: Metric | None) -> float | None:
    """The value of a figure that may be missing."""
    return None if metric is None else metric.value


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _suite_of(folder: ResultsFolder, cells: list[CellResult], notes: list[str]) -> Suite:
    if not folder.lock_path.is_file():
        notes.append(f"has no {folder.lock_path.name}: reference points, protocols and titles of tasks are not known")
        return Suite(name=cells[0].suite, version=max(cells[0].suite_version, 1))
    stored = read_json(folder.lock_path)
    layer = stored.get("suite")
    if not isinstance(layer, dict):
        raise AudiosslError(f"{folder.lock_path} is damaged: it names no suite; run the same command again.")
    return structured(Suite, known_fields(Suite, layer), where=f"suite in {folder.lock_path}")


def known_fields(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """What this version knows of a stored dataclass: one of another version may say more."""
    hints, made = get_type_hints(kind), {}
    for each in fields(kind):
        if each.name not in stored:
            continue
        value, hint = stored[each.name], hints[each.name]
        if is_dataclass(hint) and isinstance(value, Mapping):
            value = known_fields(hint, value)
        elif hint == dict[str, SuiteTask] and isinstance(value, Mapping):
            value = {name: known_fields(SuiteTask, task) for name, task in value.items()}
        made[each.name] = value
    return made
