"""A results folder: one small JSON file a cell, and the runs that they are of.

    OUT/suite.json                            what was asked for: the lock file
    OUT/cells/TASK/UPSTREAM/seed0.json        the result of a cell, or of all folds together
    OUT/cells/TASK/UPSTREAM/seed0.fold-1.json the result of one fold
    OUT/runs/TASK/UPSTREAM/seed0/             its run folder, as `audiossl train` writes it
    OUT/data/RECIPE/                          manifests
    OUT/results.jsonl                         all of cells/, one a line

A folder can be moved, copied and merged: paths in it are relative to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from audiossl.core.errors import AudiosslError
from audiossl.core.files import read_json, write_json, write_jsonl
from audiossl.core.typed_json import check_types
from audiossl.core.types import Metric, metrics_as_json
from audiossl.experiments.identity.keys import Identity

State = Literal["begun", "finished", "failed"]
LOCK_FILE = "suite.json"
RESULTS_FILE = "results.jsonl"


@dataclass(frozen=True)
class Tried:
    """One combination that was tried, on dev.

    member: the name of its run.
    values: what makes it, by axis: lr, interface, task.
    dev: its best figure there. None where it has none.
    state: finished, stopped early by a budget, or failed.
    """

    member: str
    values: dict[str, Any]
    dev: float | None = None
    state: str = "finished"


@dataclass(frozen=True)
class Cost:
    """What a cell took.

    train_s, evaluate_s: seconds of both. Hidden states are computed before, for several cells together.
    peak_memory_bytes: of the process so far, which may have computed other cells before.
    energy_j: joules, where the machine tells. None where not.
    device: what it ran on.
    """

    train_s: float = 0.0
    evaluate_s: float = 0.0
    peak_memory_bytes: int = 0
    energy_j: float | None = None
    device: str = "cpu"

    @property
    def total_s(self) -> float:
        return self.train_s + self.evaluate_s


@dataclass(frozen=True)
class EncoderFacts:
    """Of the encoder, for tables.

    name: as the registry has it.
    options: its own.
    num_parameters: all.
    num_layers: hidden states that it gives.
    seconds_per_hour: of encoding an hour of sound, as measured here. None where nothing was encoded.
    trained_on: corpora that its card names.
    """

    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    num_parameters: int = 0
    num_layers: int = 0
    seconds_per_hour: float | None = None
    trained_on: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CellResult:
    """What came out of a cell: upstream x task x seed, and fold where there are folds.

    key: a hash of its identity.
    task: 'RECIPE/YAML'.
    upstream: as the user named it.
    seed: of training.
    fold: its name. '' for a cell without folds, and for all folds together.
    state: begun and not ended, finished, or failed, in which case `error` says why.
    run: the run folder, relative to the results folder. A sweep's is that of the sweep.
    chosen: the run folder of the member that is best on dev. Of a cell without a search it is `run`, of all folds ''.
    predictions: the file with a row an item, relative to the results folder.
    downstream, setting, interface: of the experiment. The interface is that of the chosen member.
    metric: the name of the figure that the suite reads.
    mode: 'max' or 'min', which of its values is the best.
    metrics: all figures, with intervals.
    num_items: how many rows were scored.
    dev: the figure on dev by which the member was chosen.
    trials: all that was tried, [] without a search.
    notes: what a reader must know of the choice.
    layer_weights: by group of layers, where the interface learns some.
    layer_norms: the mean norm of a frame of each layer, [] where it was not measured.
    folds: names of the folds that were pooled.
    log: the log of a cell that failed, relative to the results folder.
    """

    key: str
    task: str
    upstream: str
    seed: int
    fold: str = ""
    state: State = "finished"
    error: str = ""
    run: str = ""
    chosen: str = ""
    predictions: str = ""
    downstream: str = ""
    setting: str = ""
    interface: str = ""
    metric: str = ""
    mode: Literal["max", "min"] = "max"
    metrics: dict[str, Metric] = field(default_factory=dict)
    num_items: int = 0
    dev: float | None = None
    trials: list[Tried] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    layer_weights: dict[str, list[float]] = field(default_factory=dict)
    layer_norms: list[float] = field(default_factory=list)
    folds: list[str] = field(default_factory=list)
    log: str = ""
    identity: Identity = field(default_factory=Identity)
    encoder: EncoderFacts = field(default_factory=EncoderFacts)
    cost: Cost = field(default_factory=Cost)
    suite: str = ""
    suite_version: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""

    @property
    def figure(self) -> Metric | None:
        """The figure that the suite reads. None where the cell failed."""
        return self.metrics.get(self.metric)

    @property
    def title(self) -> str:
        """The cell in a sentence."""
        fold = f", fold {self.fold}" if self.fold else ""
        return f"{self.task} with {self.upstream}, seed {self.seed}{fold}"

    def as_json(self) -> dict[str, Any]:
        """One line of results.jsonl."""
        return {**asdict(self), "metrics": metrics_as_json(self.metrics)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], where: Path | str) -> CellResult:
        """What `as_json` gave, also of a version that knew other facts. Raises AudiosslError for a damaged one."""
        parts = {"identity": Identity, "encoder": EncoderFacts, "cost": Cost}
        hints = get_type_hints(cls) | dict.fromkeys([*parts, "metrics"], dict[str, Any])
        check_types(stored, hints | {"trials": list[dict[str, Any]]}, where, "remove it, so that it is computed again")
        made = _known(cls, stored)
        for name, part in parts.items():
            made[name] = part(**_known(part, stored.get(name) or {}))
        made["metrics"] = {name: Metric.from_json(row) for name, row in (stored.get("metrics") or {}).items()}
        made["trials"] = [Tried(**_known(Tried, row)) for row in stored.get("trials") or []]
        return cls(**made)


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


def folder_of(name: str) -> str:
    """A name that a user typed as the name of a folder.

    >>> folder_of("hf:/models/whisper"), folder_of("tera_mini:random")
    ('hf__models_whisper', 'tera_mini_random')
    """
    return re.sub(r"[^\w.+@=-]+", "_", name).strip("._") or "_"


class ResultsFolder:
    """What lies where in the results folder `path`, which need not exist yet."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def lock_path(self) -> Path:
        """What was asked for, with versions and fingerprints: `suite repeat` repeats it."""
        return self.path / LOCK_FILE

    @property
    def cells_path(self) -> Path:
        return self.path / "cells"

    @property
    def logs_path(self) -> Path:
        return self.path / "logs"

    @property
    def results_path(self) -> Path:
        return self.path / RESULTS_FILE

    def data(self, recipe: str) -> Path:
        """The manifests of a recipe."""
        return self.path / "data" / recipe

    @property
    def analyses_path(self) -> Path:
        """Layer-wise analyses of the encoders, a folder each."""
        return self.path / "analyses"

    def run(self, task: str, upstream: str, seed: int) -> Path:
        """The run folder of a cell, or of all its folds."""
        return self.path / "runs" / task / folder_of(upstream) / f"seed{seed}"

    def cell(self, task: str, upstream: str, seed: int, fold: str = "") -> Path:
        """The file with the result of a cell.

        task, upstream, seed: the cell.
        fold: the name of one of its folds. '' for all of it.
        """
        name = f"seed{seed}" + (f".fold-{folder_of(fold)}" if fold else "")
        return self.cells_path / task / folder_of(upstream) / f"{name}.json"

    def folds(self, task: str, upstream: str, seed: int) -> list[Path]:
        """The files with the results of single folds of a cell."""
        whole = self.cell(task, upstream, seed)
        return sorted(whole.parent.glob(f"{whole.stem}.fold-*.json"))

    def write(self, result: CellResult) -> None:
        """Write the result of a cell."""
        write_json(self.cell(result.task, result.upstream, result.seed, result.fold), result.as_json())

    def read(self, path: Path) -> CellResult:
        """The result in a file. Raises AudiosslError for a damaged one."""
        try:
            stored = read_json(path)
        except AudiosslError as error:
            what = str(error).partition(";")[0].rstrip(".")
            raise AudiosslError(f"{what}; remove it, so that its cell is computed again.") from error
        return CellResult.from_json(stored, path)

    def results(self) -> Iterator[CellResult]:
        """All results, by task, upstream, seed and fold."""
        for path in sorted(self.cells_path.glob("*/*/*/*.json")):
            yield self.read(path)

    @property
    def is_collected(self) -> bool:
        """Whether results.jsonl is of all results. It is not where a run was killed before its end."""
        if not self.results_path.is_file():
            return False
        written = self.results_path.stat().st_mtime_ns
        return all(path.stat().st_mtime_ns <= written for path in self.cells_path.glob("*/*/*/*.json"))

    def collect(self) -> None:
        """Write results.jsonl anew."""
        write_jsonl(self.results_path, (result.as_json() for result in self.results()))

    def relative(self, path: Path) -> str:
        """A path in the folder, as results have it."""
        return path.relative_to(self.path).as_posix()


def failed(result: CellResult, error: str, log: str = "") -> CellResult:
    """The result of a cell that could not be computed."""
    return replace(result, state="failed", error=error, log=log)
