"""The steps of a suite, each as units for an executor, and what became of them in the results folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from audiossl.core.config import as_dict
from audiossl.core.files import read_json, write_json
from audiossl.experiments.executors.contract import Executor, Outcome, Unit
from audiossl.experiments.folder import now
from audiossl.experiments.identity.keys import key_of
from audiossl.experiments.suites.definition import Suite
from audiossl.experiments.suites.plan import Cell, stored
from audiossl.experiments.suites.results import CellResult, ResultsFolder, folder_of
from audiossl.experiments.suites.speeds import expected_seconds
from audiossl.features.access import features_folder
from audiossl.features.manage import entries_in, remove_entry
from audiossl.metrics.formatting import interval_written, with_unit, written

_WORK = "audiossl.experiments.suites.work"
_EXTRACT = "audiossl.experiments.suites.extraction:extract_features"


@dataclass(frozen=True)
class RunOptions:
    """How a suite is computed, which changes no result.

    retries: how often a unit is begun again whose worker died.
    share: (which, of how many) parts of the cells. The parts may be computed on several machines that share the folder.
    extract: whether hidden states are computed before the cells, in `width` parts at once.
    width: how many units run at once.
    drop: whether hidden states are removed when the last cell that reads them is done.
    """

    retries: int = 1
    share: tuple[int, int] = (0, 1)
    extract: bool = True
    width: int = 1
    drop: bool = False


@dataclass
class _Speed:
    """What OUT/encoders/NAME.json says: what encoding took here, and the norms of layers by corpus."""

    seconds: float = 0.0
    audio_s: float = 0.0
    layer_norms: dict[str, list[float]] = field(default_factory=dict)

    @property
    def seconds_per_hour(self) -> float | None:
        return self.seconds / self.audio_s * 3600 if self.audio_s >= 1 else None


class Runner:
    """Gives the units of cells to an executor, and takes down what became of them.

    suite: which the cells are of.
    folder: of the results.
    executor: what runs the units.
    options: how.
    say: gets a line for all that happens.
    """

    def __init__(
        self, suite: Suite, folder: ResultsFolder, executor: Executor, options: RunOptions, say: Callable[[str], None]
    ) -> None:
        self.suite, self.folder, self.executor, self.options, self.say = suite, folder, executor, options, say
        self._filled: set[str] = set()  # entries of the cache that these cells read

    def run(self, cells: Sequence[Cell]) -> None:
        """All cells. Where hidden states are dropped, those of one encoder at a time."""
        # What was in the cache before is somebody's, and stays there.
        before = _entries(cells[0]) if cells and self.options.drop else set()
        for wave in _by_encoder(cells) if self.options.drop else [list(cells)] * bool(cells):
            if self.options.extract:
                self._extract(wave)
            begun = {cell.title: self._begun(cell) for cell in wave}
            units = {cell.title: self._unit(cell, begun[cell.title]) for cell in wave}
            folded = [cell for cell in wave if cell.config.folds.by]
            folds = self._begin_folds(folded, begun, units)
            single = [(begun[cell.title], units[cell.title]) for cell in wave if not cell.config.folds.by]
            self._compute([*single, *(each for found in folds.values() for each in found)])
            self._pool(folded, begun, units, folds)
            if self.options.drop:
                self._drop(wave[0], before)

    def _extract(self, cells: Sequence[Cell]) -> None:
        """Hidden states for all cells, in one pass of each encoder over each corpus."""
        owner: dict[str, tuple[str, str]] = {}
        units = []
        groups = _grouped(cells)
        # The passes themselves keep that many workers busy. Where they are fewer, each is given out in parts.
        most = -(-self.options.width // max(1, len(groups)))
        for (label, corpus), members in groups.items():
            configs = {cell.title: as_dict(cell.config) for cell in members if cell.config.features != "off"}
            parts = most if configs else 0
            unmeasured = corpus not in self._speed(label).layer_norms
            for part in range(parts):
                name = f"encode {corpus} with {label}" + (f", part {part + 1} of {parts}" if parts > 1 else "")
                norms = unmeasured and part == 0
                arguments = {"configs": configs, "share": [part, parts], "measure_norms": norms}
                units.append(Unit(name, _EXTRACT, arguments))
                owner[name] = label, corpus
        for outcome in self.executor.run(units, retries=self.options.retries):
            if outcome.value is None:
                self.say(f"{outcome.unit}: {outcome.error} The cells encode what they lack.")
                continue
            self._filled.update(outcome.value["entries"])
            self._measure(*owner[outcome.unit], outcome.value)
            minutes, seconds = outcome.value["audio_s"] / 60, outcome.value["seconds"]
            self.say(f"{outcome.unit}: {minutes:.1f} min of sound in {seconds:.0f} s.")

    def _speed(self, label: str) -> _Speed:
        path = self._speed_path(label)
        return _Speed(**read_json(path)) if path.is_file() else _Speed()

    def _measure(self, label: str, corpus: str, value: Mapping[str, Any]) -> None:
        speed = self._speed(label)
        if value["audio_s"] > 0:
            speed.seconds, speed.audio_s = speed.seconds + value["seconds"], speed.audio_s + value["audio_s"]
        if value["layer_norms"]:
            speed.layer_norms[corpus] = value["layer_norms"]
        write_json(self._speed_path(label), asdict(speed))

    def _speed_path(self, label: str) -> Path:
        return self.folder.path / "encoders" / f"{folder_of(label)}.json"

    def _begun(self, cell: Cell) -> CellResult:
        """The result of a cell before it is computed: who it is of."""
        assert cell.identity is not None
        label = cell.encoder.choice.label
        speed = self._speed(label)
        return CellResult(
            key=cell.key,
            task=cell.task,
            upstream=label,
            seed=cell.seed,
            state="begun",
            downstream=cell.config.downstream,
            setting=cell.config.setting,
            metric=cell.definition.metric,
            mode=cell.definition.mode,
            layer_norms=speed.layer_norms.get(cell.definition.corpus, []),
            identity=cell.identity,
            encoder=replace(cell.encoder.facts, seconds_per_hour=speed.seconds_per_hour),
            suite=self.suite.name,
            suite_version=self.suite.version,
        )

    def _unit(self, cell: Cell, begun: CellResult) -> Unit:
        arguments = {"out": str(self.folder), "begun": begun.as_json(), "config": as_dict(cell.config)}
        seconds, _ = expected_seconds(cell.task, cell.config)
        return Unit(cell.title, f"{_WORK}:compute_cell", arguments, seconds)

    def _begin_folds(
        self, cells: Sequence[Cell], begun: Mapping[str, CellResult], units: Mapping[str, Unit]
    ) -> dict[str, list[tuple[CellResult, Unit]]]:
        """What is to be computed of the folds of each cell, by its title, without cells that cannot begin."""
        starts = {
            f"{title}, folds": replace(units[title], name=f"{title}, folds", target=f"{_WORK}:begin_cell")
            for title in (cell.title for cell in cells)
        }
        found: dict[str, list[tuple[CellResult, Unit]]] = {}
        for outcome in self.executor.run(list(starts.values()), retries=self.options.retries):
            title = outcome.unit.removesuffix(", folds")
            if outcome.value is None:
                self._fail(begun[title], outcome)
                continue
            folds = [
                replace(begun[title], fold=name, key=key_of(begun[title].identity, name))
                for name in outcome.value["folds"]
            ]
            found[title] = [(fold, _of_fold(units[title], fold)) for fold in folds if not self._is_done(fold)]
        return found

    def _is_done(self, fold: CellResult) -> bool:
        there = stored(self.folder, self.folder.cell(fold.task, fold.upstream, fold.seed, fold.fold))
        return there is not None and there.key == fold.key and there.state == "finished"

    def _compute(self, cells: Sequence[tuple[CellResult, Unit]]) -> None:
        by_name = {unit.name: begun for begun, unit in cells}
        units = [unit for _, unit in cells]
        for number, outcome in enumerate(self.executor.run(units, retries=self.options.retries), start=1):
            self._take(by_name[outcome.unit], outcome, f"{number}/{len(units)} ")

    def _pool(
        self,
        cells: Sequence[Cell],
        begun: Mapping[str, CellResult],
        units: Mapping[str, Unit],
        folds: Mapping[str, Sequence[tuple[CellResult, Unit]]],
    ) -> None:
        """All folds of a cell together, where none has failed."""
        ready = []
        for title in (cell.title for cell in cells if cell.title in folds):
            wrong = [fold for fold, _ in folds[title] if not self._is_done(fold)]
            if wrong:
                names = ", ".join(fold.fold for fold in wrong)
                self._fail(begun[title], Outcome(title, error=f"Of its folds, {names} could not be computed."))
            else:
                ready.append(replace(units[title], target=f"{_WORK}:pool_folds"))
        for outcome in self.executor.run(ready, retries=self.options.retries):
            self._take(begun[outcome.unit], outcome)

    def _take(self, begun: CellResult, outcome: Outcome, prefix: str = "") -> None:
        """Say what became of a cell, and write down that it failed. Others wrote their result themselves."""
        if outcome.value is None:
            self._fail(begun, outcome)
            return
        result = self.folder.read(self.folder.cell(begun.task, begun.upstream, begun.seed, begun.fold))
        name, figure = result.metric, result.figure
        said = f"{with_unit(name)} {written(name, figure.value)} {interval_written(name, figure)}" if figure else ""
        self.say(f"{prefix}{result.title}: {said.strip()} ({result.cost.total_s:.0f} s)")

    def _fail(self, begun: CellResult, outcome: Outcome) -> None:
        log = outcome.log
        inside = log is not None and log.is_relative_to(self.folder.path)
        where = self.folder.relative(log) if log is not None and inside else str(log or "")
        self.folder.write(replace(begun, state="failed", error=outcome.error, log=where, created=now()))
        self.say(f"{begun.title}: failed. {outcome.error}" + (f" See {log}." if log else ""))

    def _drop(self, cell: Cell, before: set[str]) -> None:
        """Remove the hidden states of an encoder that were computed for these cells, which are done.

        cell: one of them.
        before: keys of the entries that stay.
        """
        made, freed = self._filled - before, 0
        for entry in entries_in(features_folder(cell.config.cache)):
            if entry.key in made and remove_entry(entry):
                freed += entry.num_bytes
        self._filled.clear()
        self.say(f"Removed {freed / 1e9:.2f} GB of hidden states of {cell.encoder.choice.label}.")


def _entries(cell: Cell) -> set[str]:
    return {entry.key for entry in entries_in(features_folder(cell.config.cache))}


def _by_encoder(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.encoder.choice.label, []).append(cell)
    return list(groups.values())


def _grouped(cells: Sequence[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Cells by encoder and corpus, in order."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.corpus, []).append(cell)
    return groups


def _of_fold(unit: Unit, fold: CellResult) -> Unit:
    return Unit(fold.title, unit.target, {**unit.arguments, "begun": fold.as_json()}, unit.expected_s)
