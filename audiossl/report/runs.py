"""Reading run folders: configuration, log, layer weights, evaluations and pictures. Everything but the log may lack.

A page about runs must not fail because one of them is unfinished, so what is missing stays empty and is said in
`RunSummary.notes`. What is there but cannot be read is an error that names the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiossl.core.config import read_yaml
from audiossl.core.errors import TrainingError
from audiossl.core.files import read_json, read_jsonl
from audiossl.core.pictures import SUFFIXES, is_picture
from audiossl.core.registry import UPSTREAMS
from audiossl.core.typed_json import check_types
from audiossl.core.types import Metric
from audiossl.experiments.folder import LayerWeights, RunFacts, RunFolder
from audiossl.experiments.sweeps.record import is_sweep, runs_of
from audiossl.metrics.clusters import ITEM

SPLITS = ("test", "dev", "train")  # the order in which a split stands for its run
_EVALUATE = "evaluate the run again"
_METRIC = {"value": float, "low": float | None, "high": float | None}
_FACTS: dict[str, Any] = {
    "metrics": dict[str, dict[str, Any]] | None,
    "num_items": int | None,
    "labels": list[Any] | None,
    "confusion": list[list[float]] | None,
    "tables": list[dict[str, Any]] | None,
}
_TABLE: dict[str, Any] = {"header": list[Any], "rows": list[list[Any]]}
_PREDICTION: dict[str, Any] = {
    "probability": float | None,
    "duration_s": float | None,
    "audio": dict[str, Any] | None,
    "score": float | None,
    "num_errors": float | None,
    "num_units": float | None,
}


@dataclass(frozen=True)
class Evaluation:
    """What `RUN/<split>/` holds.

    labels: the C classes of a task that has any.
    confusion: (C, C) counts, a row for each target.
    predictions: one dict an item, as written.
    facts: all of metrics.json.
    """

    split: str
    metrics: dict[str, Metric]
    num_items: int
    labels: list[str]
    confusion: list[list[int]]
    predictions: list[dict[str, Any]]
    facts: dict[str, Any]
    pictures: list[Path] = field(default_factory=list)

    @property
    def monitor(self) -> str:
        """The metric by which the task chooses, '' where an earlier version did not say it."""
        return str(self.facts.get("monitor") or "")

    @property
    def cluster(self) -> str:
        """What the `group` (or `speaker`) of a prediction is."""
        kinds = {metric.cluster for metric in self.metrics.values()} - {"", ITEM}
        return min(kinds, default="speaker")

    @property
    def tables(self) -> list[dict[str, Any]]:
        """What the task had to say in words (see `audiossl.core.types.Table`)."""
        return list(self.facts.get("tables") or [])

    def comparable(self) -> dict[str, dict[str, Any]]:
        """By id, the predictions whose target is known: items that are right or wrong, and trials with scores."""
        rows = (row for row in self.predictions if row.get("target") is not None and "id" in row)
        return {str(row["id"]): row for row in rows if "predicted" in row or row.keys() >= {"enrol", "test", "score"}}


@dataclass(frozen=True)
class RunSummary:
    """One run folder.

    config: config.yaml as plain values.
    config_text: config.yaml as it is written.
    facts: run.json, None where there is none.
    log: the lines of log.jsonl.
    notes: what the run lacks.
    """

    path: Path
    name: str
    config: dict[str, Any]
    config_text: str
    facts: RunFacts | None
    log: list[dict[str, Any]]
    interface_weights: LayerWeights | None
    evaluations: dict[str, Evaluation]
    pictures: list[Path]
    notes: list[str] = field(default_factory=list)

    @property
    def is_pretraining(self) -> bool:
        return not self.downstream

    @property
    def upstream(self) -> str:
        return self._part("upstream")

    @property
    def interface(self) -> str:
        return self._part("interface") or (self.interface_weights.name if self.interface_weights else "")

    @property
    def downstream(self) -> str:
        return self._part("downstream")

    @property
    def has_random_weights(self) -> bool:
        options = self.config.get("upstream_options") or {}
        return options.get("weights") == "random"

    @property
    def layer_weights(self) -> dict[str, list[float]]:
        """Learnt weight of each layer by group. Empty for an interface that has none."""
        groups = self.interface_weights.layer_weights if self.interface_weights else {}
        return {group: [float(value) for value in values] for group, values in groups.items() if values}

    @property
    def best_evaluation(self) -> Evaluation | None:
        """The evaluation that stands for the run: test before dev before any other."""
        return next(iter(self.evaluations.values()), None)

    @property
    def num_parameters(self) -> int | None:
        """All parameters of the trained model, or those of its upstream as its card says, or None."""
        if self.facts and self.facts.num_parameters:
            return self.facts.num_parameters
        if self.upstream not in UPSTREAMS:
            return None
        return getattr(UPSTREAMS.card(self.upstream), "num_parameters", 0) or None

    @property
    def num_trainable(self) -> int | None:
        return self.facts.num_trainable if self.facts else None

    def series(self, split: str, key: str) -> tuple[list[int], list[float]]:
        """(steps, values) of a logged number. What is not finite is left out."""
        rows = [row for row in self.log if row.get("split") == split and _is_number(row.get(key)) and "step" in row]
        return [int(row["step"]) for row in rows], [float(row[key]) for row in rows]

    def logged(self, split: str) -> list[str]:
        """Names of the numbers that a split's log lines hold, in the order of their first appearance."""
        rows = (row for row in self.log if row.get("split") == split)
        names = {key: None for row in rows for key, value in row.items() if key != "step" and _is_number(value)}
        return list(names)

    def _part(self, key: str) -> str:
        """The name of a part, from the evaluations (what was really used) or from the configuration."""
        for evaluation in self.evaluations.values():
            if evaluation.facts.get(key):
                return _name_of(evaluation.facts[key])
        return _name_of(self.config.get(key))


def read_runs(paths: Sequence[Path]) -> list[RunSummary]:
    """Runs in the given order, with names that tell them apart. Of a sweep it is those that stand for it.

    Raises TrainingError for a folder that is no run, and for a sweep of which no member is finished.
    """
    if not paths:
        raise TrainingError("No run was given; name at least one run folder.")
    runs = [read_run(run) for path in paths for run in runs_of(Path(path))]
    names = distinct_names([run.path for run in runs])
    return [_renamed(run, _with_sweep(run.path, name)) for run, name in zip(runs, names, strict=True)]


def read_run(path: Path) -> RunSummary:
    """One run folder. Raises TrainingError if it is not one, or if a file in it is damaged."""
    if not path.is_dir():
        raise TrainingError(f"There is no run folder {path}; give a folder that `audiossl train` wrote.")
    run = RunFolder(path)
    if not run.config_path.is_file() and not run.log_path.is_file():
        raise TrainingError(
            f"{path} is not a run: it has neither {run.config_path.name} nor {run.log_path.name}; give a folder that "
            f"`audiossl train` wrote."
        )
    # Whatever may lack adds a note, or nothing where nobody misses it.
    notes: list[str] = []
    for link in run.links():
        raise TrainingError(f"{link} is a link, which may lead anywhere; put what it leads to in its place.")
    config, config_text = _read_config(run.config_path, notes)
    log = _read_log(run, notes, missing=f"has no {run.log_path.name}, so there are no learning curves")
    evaluations = {evaluation.split: evaluation for evaluation in _read_evaluations(run, notes)}
    facts = run.facts if run.facts_path.is_file() else None
    weights = run.interface if run.is_finished else None
    pictures = _pictures(run.figures_path, run, notes)
    name = path.resolve().name
    summary = RunSummary(path, name, config, config_text, facts, log, weights, evaluations, pictures, notes)
    # Two more notes, which only the whole can tell.
    if log and not summary.logged("dev"):
        notes.append("has no dev lines in its log, so there is no dev curve")
    if not summary.is_pretraining and not evaluations:
        notes.append("has not been evaluated yet")
    return summary


def _read_log(run: RunFolder, notes: list[str], missing: str) -> list[dict[str, Any]]:
    return run.log if _read_lines(run.log_path, notes, missing) else []


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest endings of the paths that differ from each other.

    >>> distinct_names([Path("a/x"), Path("b/x")])
    ['a/x', 'b/x']
    """
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-depth:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{each[-1]} ({number})" for number, each in enumerate(parts, start=1)]


def _with_sweep(path: Path, name: str) -> str:
    """A member of a sweep is called by its run too: its own name is a rate or a seed."""
    sweep = path.resolve().parent
    return f"{sweep.name}/{name}" if "/" not in name and is_sweep(sweep) else name


def _renamed(run: RunSummary, name: str) -> RunSummary:
    return RunSummary(**{**run.__dict__, "name": name})


def _read_config(path: Path, notes: list[str]) -> tuple[dict[str, Any], str]:
    if not path.is_file():
        notes.append(f"has no {path.name}")
        return {}, ""
    config = read_yaml(path)
    check_types(config, {"upstream_options": dict[str, Any] | None}, path, "get a copy of it, or train again")
    return config, path.read_text(encoding="utf-8")


def _read_evaluations(run: RunFolder, notes: list[str]) -> Iterator[Evaluation]:
    found = {split.name: split for split in run.evaluated if is_inside(split.path, run.path)}
    for name in sorted(found, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)):
        files = found[name]
        lost = f"{name}/{files.predictions.name}"
        missing = f"has no {lost}, so there are no mistakes and no comparison on {name}"
        yield read_evaluation(files.metrics, files.predictions, notes, missing, _pictures(files.path, run, notes))


def read_evaluation(
    metrics: Path, predictions: Path, notes: list[str], missing: str, pictures: Sequence[Path] = ()
) -> Evaluation:
    """The evaluation of a split, which is called as the folder of its figures.

    metrics: its metrics.json.
    predictions: the file with a row an item.
    notes: what is missing is added to them.
    missing: what is said where there are no predictions.
    pictures: files that the task drew.
    Raises AudiosslError for a damaged file.
    """
    facts, rows = _read_facts(metrics), _read_predictions(predictions, notes, missing)
    return Evaluation(
        split=metrics.parent.name,
        metrics=_metrics(facts.get("metrics") or {}, metrics),
        num_items=facts.get("num_items") or len(rows),
        labels=[str(label) for label in facts.get("labels") or []],
        confusion=facts.get("confusion") or [],
        predictions=rows,
        facts=facts,
        # The page draws the confusion matrix itself, so that it follows the reader's theme.
        pictures=[file for file in pictures if file.name != "confusion.png"],
    )


def _read_facts(path: Path) -> dict[str, Any]:
    """metrics.json, with what the page reads of it in the types that it needs."""
    facts = read_json(path)
    check_types(facts, _FACTS, path, _EVALUATE)
    for table in facts.get("tables") or []:
        check_types(table, _TABLE, path, _EVALUATE)
    counts = facts.get("confusion") or []
    if any(len(row) != len(counts) for row in counts):
        raise TrainingError(f"{path} is damaged: the confusion matrix is not square; {_EVALUATE}.")
    return facts


def _read_predictions(path: Path, notes: list[str], missing: str) -> list[dict[str, Any]]:
    rows = _read_lines(path, notes, missing)
    for number, row in enumerate(rows, start=1):
        check_types(row, _PREDICTION, f"{path}, line {number},", _EVALUATE)
    return rows


def _metrics(raw: Mapping[str, Any], path: Path) -> dict[str, Metric]:
    for name, row in raw.items():
        check_types({"value": None, **row}, _METRIC, f"{path}, metric {name!r},", _EVALUATE)
    return {name: Metric.from_json(row) for name, row in raw.items()}


def _read_lines(path: Path, notes: list[str], missing: str) -> list[dict[str, Any]]:
    """A JSON object a line. Only the last line may be cut off, as it is where the run was stopped while it wrote."""
    if not path.is_file():
        notes.append(missing)
        return []
    rows = read_jsonl(path, may_be_cut=True)
    written = path.read_bytes().removesuffix(b"\n")
    if written and len(rows) <= written.count(b"\n"):
        notes.append(f"has a cut-off last line in {path.name}, which is left out")
    return rows


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads to something in a folder. A link in a run from elsewhere may lead to anything."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _pictures(folder: Path, run: RunFolder, notes: list[str]) -> list[Path]:
    """The pictures in a folder of a run: files of the run itself that are pictures."""
    found = []
    for file in sorted(folder.glob("*")):
        if file.suffix in SUFFIXES:
            if is_inside(file, run.path) and file.is_file() and is_picture(file):
                found.append(file)
            else:
                notes.append(f"has a {file.name} that is no picture of its own, which is left out")
    return found


def _name_of(value: Any) -> str:
    """A part's name in a configuration: itself, or the `name` of a mapping."""
    if isinstance(value, Mapping):
        value = value.get("name")
    return "" if value is None else str(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < float("inf")
