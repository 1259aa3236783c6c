"""What the workers of a suite compute. Each function is the target of a unit: plain data in, files and plain data out.

A cell that was begun with the same key is gone on with, so that a unit that is given out again goes on where its last
worker was when it was killed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from audiossl.core.config import structured
from audiossl.core.files import read_json
from audiossl.core.tensors import read_tensors
from audiossl.core.types import Metric
from audiossl.encoders.devices import best_device
from audiossl.experiments.config import Experiment
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.cross_validation.training import begin_folds, finish_folds, train_fold
from audiossl.experiments.folder import RunFolder, now, versions_here
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train
from audiossl.experiments.suites.encoders import encoder_kept_for
from audiossl.experiments.suites.metering import EnergyMeter, named_times, peak_memory_bytes
from audiossl.experiments.suites.plan import remember, stored
from audiossl.experiments.suites.results import CellResult, Cost, ResultsFolder, Tried
from audiossl.experiments.suites.speeds import bytes_per_row, mean_seconds, remember_run
from audiossl.experiments.sweeps.record import best_member, is_sweep, read_sweep

_log = logging.getLogger(__name__)


def compute_cell(out: str, begun: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Train and evaluate a cell, or one fold of it.

    out: the results folder.
    begun: the result so far: who it is of, and what it is to be.
    config: the experiment of the whole cell.
    Returns the key and the figure. The result is written into the folder.
    """
    folder, cell = ResultsFolder(out), CellResult.from_json(begun, "the unit")
    experiment = structured(Experiment, config, where=cell.title)
    resume = _was_begun(folder, cell)
    whole = folder.run(cell.task, cell.upstream, cell.seed)
    run = RunFolder(whole).fold(cell.fold) if cell.fold else RunFolder(whole)
    folder.write(replace(cell, state="begun", created=now()))
    times: dict[str, float] = {}
    with EnergyMeter() as energy:
        with encoder_kept_for(experiment), named_times(times, "train_s"):
            if cell.fold:
                train_fold(experiment, whole, cell.fold, resume=resume)
            else:
                resume = resume and run.is_run and (is_sweep(run.path) or run.can_resume)
                train(experiment, run.path, resume=resume, overwrite=not resume)
        chosen = RunFolder(best_member(run.path)) if is_sweep(run.path) else run
        with encoder_kept_for(experiment), named_times(times, "evaluate_s"):
            trained = load_run(chosen.path)
            metrics = trained.evaluate("test")
    cost = Cost(peak_memory_bytes=peak_memory_bytes(), energy_j=energy.joules, device=str(best_device()), **times)
    row_bytes = bytes_per_row(trained.task, chosen.facts.features or "off", mean_seconds(experiment))
    remember_run(cell.task, experiment, cost.total_s, row_bytes)
    return _written(folder, _with_facts(folder, cell, run, chosen, metrics, cost))


def begin_cell(out: str, begun: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the folds of a cell, or take those that were drawn before it was interrupted. Returns their names."""
    folder, cell = ResultsFolder(out), CellResult.from_json(begun, "the unit")
    experiment = structured(Experiment, config, where=cell.title)
    whole = folder.run(cell.task, cell.upstream, cell.seed)
    resume = _was_begun(folder, cell) and RunFolder(whole).is_run
    if not resume:
        for path in folder.folds(cell.task, cell.upstream, cell.seed):
            path.unlink()
    with encoder_kept_for(experiment):
        names = begin_folds(experiment, whole, resume=resume, overwrite=not resume)
    folder.write(replace(cell, state="begun", created=now()))
    return {"folds": names}


def pool_folds(out: str, begun: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The result of all folds of a cell together, which are trained and evaluated."""
    folder, cell = ResultsFolder(out), CellResult.from_json(begun, "the unit")
    experiment = structured(Experiment, config, where=cell.title)
    whole = folder.run(cell.task, cell.upstream, cell.seed)
    finish_folds(experiment, whole)
    with encoder_kept_for(experiment):
        run = load_run(whole)
    assert isinstance(run, FoldedRun)
    metrics = run.pool("test")
    parts = [folder.read(folder.cell(cell.task, cell.upstream, cell.seed, name)) for name in run.folds]
    cost = Cost(
        train_s=sum(part.cost.train_s for part in parts),
        evaluate_s=sum(part.cost.evaluate_s for part in parts),
        peak_memory_bytes=max(part.cost.peak_memory_bytes for part in parts),
        energy_j=_sum([part.cost.energy_j for part in parts]),
        device=parts[0].cost.device,
    )
    found = _with_facts(folder, cell, RunFolder(whole), None, metrics, cost)
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    return _written(folder, replace(found, folds=list(run.folds), notes=notes))


def _was_begun(folder: ResultsFolder, cell: CellResult) -> bool:
    """Whether a worker began the same cell before, and did not end it."""
    before = stored(folder, folder.cell(cell.task, cell.upstream, cell.seed, cell.fold))
    return before is not None and before.key == cell.key and before.state != "finished"


def _with_facts(
    folder: ResultsFolder,
    cell: CellResult,
    run: RunFolder,
    chosen: RunFolder | None,
    metrics: Mapping[str, Metric],
    cost: Cost,
) -> CellResult:
    """The result of a cell that was computed.

    folder: of the results.
    cell: who it is of.
    run: its run folder.
    chosen: the run that stands for it. None for all folds together, each of which has its own.
    metrics: what was found.
    cost: what it took.
    """
    record = read_sweep(run.path) if chosen and is_sweep(run.path) else None
    trials = (
        [Tried(member.name, member.values, member.dev, member.state) for member in record.members] if record else []
    )
    best = record.best() if record else None
    place = (chosen or run).split("test")
    dev = best.dev if best else _best_on_dev(chosen) if chosen else None
    return replace(
        cell,
        state="finished",
        run=folder.relative(run.path),
        chosen=folder.relative(chosen.path) if chosen else "",
        predictions=folder.relative(place.predictions),
        interface=(chosen or run).interface.name,
        metrics=dict(metrics),
        num_items=read_json(place.metrics)["num_items"],
        dev=dev,
        trials=trials,
        notes=record.notes if record else [],
        layer_weights=(chosen or run).interface.layer_weights,
        cost=cost,
        versions=versions_here(),
        created=now(),
    )


def _best_on_dev(run: RunFolder) -> float | None:
    _, said = read_tensors(run.checkpoint("best"))
    value = said.get("value")
    return float(value) if isinstance(value, int | float) else None


def _written(folder: ResultsFolder, result: CellResult) -> dict[str, Any]:
    if result.figure is None:
        _log.warning("%s has no %r; it has: %s.", result.title, result.metric, ", ".join(result.metrics))
    folder.write(result)
    if not result.fold:
        remember(result, folder)
    return {"key": result.key, "figure": result.figure.value if result.figure else None}


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) and known else None
