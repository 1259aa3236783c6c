"""Training the members of a sweep: the encoder is loaded once and its hidden states are read in one shared pass.

Members on a fine-tuned encoder, and all of them under torchrun, are trained one after another, as separate runs are.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.processes import world_size
from audiossl.encoders.kept import load_identified
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.adversary import build_adversary
from audiossl.experiments.building import (
    build_downstream,
    check_nothing_trains,
    check_rows,
    complete_config,
    warn_of_leaks,
)
from audiossl.experiments.cached_batches import needs_of
from audiossl.experiments.config import Experiment, inputs_of
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.identity.keys import identity_facts
from audiossl.experiments.sweeps.config import choice_of
from audiossl.experiments.sweeps.halving import planned_rungs
from audiossl.experiments.sweeps.members import members_of
from audiossl.experiments.sweeps.record import MemberRecord, is_sweep
from audiossl.experiments.sweeps.together import Cuts, train_together
from audiossl.experiments.sweeps.writing import Member, SweepWriter
from audiossl.experiments.training import train_one

_log = logging.getLogger(__name__)


def train_sweep(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train every member in a folder of its own below `out`. On resuming, each goes on from its last checkpoint.

    A member that cannot go on (its loss stays non-finite) is marked in sweep.json, and the others go on.

    config: what to train, with `sweep`.
    out: the folder of the sweep.
    resume: go on with the sweep that is there.
    overwrite: replace what is there.
    Returns `out`.
    Raises TrainingError where no member is left, and ConfigError, LabelError, ... before any training.
    """
    if not config.sweep.axes:
        raise ConfigError(f"{out} is a sweep and its values were taken away; leave the settings sweep.* as they are.")
    if config.folds.by:
        raise ConfigError(f"{out} is a sweep and has no folds; leave folds out, or choose another folder with --out.")
    check_nothing_trains(config)
    check_budget(config)
    with RunFolder(out).writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        if resume and not is_sweep(out):
            raise ConfigError(f"{out} is a run of its own and cannot become a sweep; choose another folder with --out.")
        if resume and config.sweep.budget:
            _check_same_plan(config, out)
        # Where members train on parts, labels and units are those of all rows, so that they can be compared.
        data = dataclasses.replace(config.data, subset="") if config.sweep.subset else config.data
        cuts = {split: data.rows(split) for split in ("train", "dev")}
        upstream, mark = encoder = load_identified(config.upstream, config.upstream_options)
        identity = identity_facts(config, encoder, RunFolder(out).facts if resume else None)
        members = _members(config, out, cuts, upstream, resume)
        warn_of_leaks(config.data, cuts)
        writer = SweepWriter(config, members, out, resume, identity)
        together = [member for member in members if _in_one_pass(member)]
        if together:
            stack, rungs = config.sweep.stack == "auto", planned_rungs(config)
            for own, read in _by_subset(together, cuts):
                train_together(own, read, mark, writer, stack=stack, rungs=rungs)
        _train_one_after_another([member for member in members if member not in together], writer)
    for note in writer.notes:
        _log.info("%s", note)
    failed = [member.record for member in members if member.record.state == "failed"]
    if failed and not any(member.record.state == "finished" for member in members):
        raise TrainingError(f"No member of the sweep {out} could be trained; the first: {failed[0].why}")
    return out


def check_budget(config: Experiment) -> None:
    """Raise ConfigError for a budget that is too small, or for members that are not trained side by side."""
    modes = [choice_of("finetune", each)[0] for each in config.sweep.finetune] or [config.finetune.mode]
    trained = [mode for mode in modes if mode != "none"]
    if config.sweep.budget and (trained or world_size() > 1):
        what = f"finetune={trained[0]}" if trained else "more than one process"
        raise ConfigError(
            f"sweep.budget={config.sweep.budget:g} compares members that train side by side, and with {what} they are "
            f"trained one after another; leave sweep.budget out."
        )
    planned_rungs(config)


def _in_one_pass(member: Member) -> bool:
    """What trains in an encoder belongs to one member, and a shared pass is one process and has steps."""
    return member.config.finetune.mode == "none" and member.task.trains and world_size() == 1


def _by_subset(members: Sequence[Member], cuts: Cuts) -> Iterator[tuple[list[Member], Cuts]]:
    """Members that train on the same rows, with these."""
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(member.config.data.subset, []).append(member)
    for own in groups.values():
        yield own, {**cuts, "train": own[0].config.data.rows("train")}


def _check_same_plan(config: Experiment, out: Path) -> None:
    """Raise ConfigError where members were compared by another plan so far, so that the budget says nothing of them."""
    stored = RunFolder(out).config()
    if stored.sweep.axes != config.sweep.axes or planned_rungs(stored) != planned_rungs(config):
        raise ConfigError(
            f"sweep.budget={config.sweep.budget:g} was planned otherwise when {out} was begun (by other values, "
            f"steps or evaluations); leave them as they were, or let all members train to the end with sweep.budget=0."
        )


def _members(config: Experiment, out: Path, cuts: Cuts, upstream: Upstream, resume: bool) -> list[Member]:
    """All heads on one encoder, checked against the rows. Raises ConfigError for members that cannot be compared."""
    members: list[Member] = []
    known: dict[str, dict[str, Any]] = {}
    for name, values, own in members_of(config):
        key = json.dumps(own.task, sort_keys=True, default=str)
        fresh = key not in known
        if fresh:
            known[key] = complete_config(own, cuts["train"]).task
        own = dataclasses.replace(own, task=known[key])
        # Fine-tuning would add to the encoder that all share; what trains then is built again for each run.
        task = build_downstream(own, upstream, finetune=False)
        if fresh:
            check_rows(task, own.data, cuts)
        build_adversary(own, task, cuts["train"])  # what is wrong with its column is said before any training
        if own.finetune.mode == "none":
            needs_of(own, task, "", None).check()
        run = RunFolder(out).member(name)
        members.append(Member(MemberRecord(name, values), own, run, task, resume and run.can_resume))
    monitors = {member.task.monitor for member in members}
    if len(monitors) > 1:
        names = " and ".join(sorted(monitor.name for monitor in monitors))
        raise ConfigError(
            f"sweep.task has heads that are chosen by different metrics ({names}); sweep over them apart."
        )
    return members


def _train_one_after_another(members: Sequence[Member], writer: SweepWriter) -> None:
    """Ordinary runs. A finished one has nothing left to do when it is gone on with."""
    console = Console(stderr=True)
    for number, member in enumerate(members, start=1):
        writer.begin(member)
        if writer.active:
            console.print(f"Member {number} of {len(members)}: {member.record.name}", markup=False, highlight=False)
        try:
            train_one(member.config, member.run.path, resume=member.begun, overwrite=not member.begun)
        except TrainingError as error:
            writer.fail(member, error)
        else:
            writer.finish(member)
