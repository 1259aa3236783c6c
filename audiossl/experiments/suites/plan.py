"""What a suite is to compute: a cell for each upstream, task and seed, and which of them are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from audiossl.core.errors import AudiosslError
from audiossl.core.files import cache_folder, read_json, write_json
from audiossl.experiments.config import Experiment
from audiossl.experiments.identity.keys import Identity, differences, identity_of, key_of
from audiossl.experiments.suites.definition import Suite, SuiteTask, why_missing
from audiossl.experiments.suites.encoders import KnownEncoder
from audiossl.experiments.suites.recipes import is_prepared, task_experiment, why_no_recordings, with_encoder
from audiossl.experiments.suites.results import CellResult, ResultsFolder

State = Literal["done", "elsewhere", "new", "interrupted", "failed", "stale"]


@dataclass(frozen=True)
class Cell:
    """An upstream on a task with a seed. Where the task has folds, all of them.

    task: RECIPE/YAML.
    definition: what the suite says of it.
    encoder: the upstream.
    seed: of the experiment.
    config: the experiment.
    identity: what decides its result. None as long as the manifests are not prepared.
    key: of the identity. '' as long as there is none.
    state: whether its result is there, here or elsewhere, or why not.
    why: what makes an earlier result old, what failed, or where else the result is.
    """

    task: str
    definition: SuiteTask
    encoder: KnownEncoder
    seed: int
    config: Experiment
    identity: Identity | None = None
    key: str = ""
    state: State = "new"
    why: str = ""

    @property
    def is_done(self) -> bool:
        return self.state == "done"

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be computed."""
        return self.state not in ("done", "elsewhere")

    @property
    def title(self) -> str:
        return f"{self.task} with {self.encoder.choice.label}, seed {self.seed}"

    @property
    def corpus(self) -> tuple[str, str]:
        """What cells share that one pass of the encoder serves."""
        return self.encoder.choice.label, self.definition.corpus


@dataclass(frozen=True)
class Plan:
    """The cells of a suite in the order in which they are computed.

    suite: what was asked for.
    cells: those that can be computed, or were.
    left_out: why the others cannot, by task.
    """

    suite: Suite
    cells: list[Cell]
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to compute or to take over."""
        return bool(self.cells) and all(cell.is_done for cell in self.cells)

    @property
    def to_compute(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.is_wanted]


class Asked(NamedTuple):
    """What a user asked for.

    suite: the suite.
    encoders: the upstreams.
    data: the folder of the corpora. None where nobody has said.
    over: settings that go before all others.
    budget: full trainings that the search in a cell may cost. 0 for all that is tried.
    """

    suite: Suite
    encoders: Sequence[KnownEncoder]
    data: Path | None = None
    over: Mapping[str, Any] = {}
    budget: float = 0.0


def make_plan(asked: Asked, folder: ResultsFolder) -> Plan:
    """All cells, those of one encoder and corpus one after another, each compared with what the folder holds.

    asked: what is wanted.
    folder: of the results, which need not exist.
    Raises ConfigError for settings that a task does not take.
    """
    cells: list[Cell] = []
    left_out: dict[str, str] = {}
    tasks = asked.suite.tasks
    for name, task in tasks.items():
        if why := why_missing(name, task):
            left_out[name] = why
    known = {name: task for name, task in tasks.items() if name not in left_out}
    corpora = list(dict.fromkeys(task.corpus for task in known.values()))
    in_order = sorted(known, key=lambda name: corpora.index(known[name].corpus))
    bases: dict[tuple[str, int], Experiment] = {}
    for name in in_order:
        for seed in known[name].search.seeds:
            config = task_experiment(name, known[name], seed, folder.path, asked.over)
            if is_prepared(config) or not (why := why_no_recordings(known[name], asked.data)):
                bases[name, seed] = config
            else:
                left_out[name] = why
    for encoder in asked.encoders:
        for (name, seed), config in bases.items():
            own = with_encoder(config, known[name], encoder, asked.budget)
            cells.append(compared(Cell(name, known[name], encoder, seed, own), folder))
    return Plan(asked.suite, cells, left_out)


def compared(cell: Cell, folder: ResultsFolder) -> Cell:
    """A cell with its identity, and with what is there of it."""
    if not is_prepared(cell.config):
        return cell
    identity = identity_of(cell.config, cell.encoder.identity, folder.path, cell.encoder.code)
    key = key_of(identity)
    state, why = _state(cell, identity, key, folder)
    return replace(cell, identity=identity, key=key, state=state, why=why)


def _state(cell: Cell, identity: Identity, key: str, folder: ResultsFolder) -> tuple[State, str]:
    found = stored(folder, folder.cell(cell.task, cell.encoder.choice.label, cell.seed))
    if found is not None and found.key == key:
        states: dict[str, State] = {"finished": "done", "begun": "interrupted", "failed": "failed"}
        return states[found.state], found.error
    elsewhere = result_elsewhere(key)
    if elsewhere is not None:
        return "elsewhere", str(elsewhere[0])
    if found is None:
        return "new", ""
    return "stale", ", ".join(differences(found.identity, identity)) or "it is of another version"


def stored(folder: ResultsFolder, path: Path) -> CellResult | None:
    """The result in a file of a results folder, None for none. Raises AudiosslError for a damaged one."""
    return folder.read(path) if path.is_file() else None


def _ledger(key: str) -> Path:
    return cache_folder() / "suites" / "cells" / f"{key}.json"


def remember(result: CellResult, folder: ResultsFolder) -> None:
    """Let other results folders know where the result of a cell is."""
    path = folder.cell(result.task, result.upstream, result.seed, result.fold)
    write_json(_ledger(result.key), {"folder": str(folder.path.absolute()), "cell": folder.relative(path)})


def result_elsewhere(key: str) -> tuple[ResultsFolder, CellResult] | None:
    """Another results folder of this machine that holds the finished result of a key. None for none."""
    try:
        said = read_json(_ledger(key))
        folder = ResultsFolder(said["folder"])
        found = folder.read(folder.path / str(said["cell"]))
    except (AudiosslError, KeyError, TypeError):
        return None
    whole = found.key == key and found.state == "finished" and (folder.path / found.run).is_dir()
    return (folder, found) if whole else None
