"""Training the members of a sweep: the encoder is loaded once and its hidden states are read in one shared pass.

Members on a fine-tuned encoder, and all of them under torchrun, are trained one after another, as separate runs are.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from lhotse import CutSet
from rich.console import Console
from rich.progress import Progress

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.files import write_json
from audiossl.core.processes import is_main, world_size
from audiossl.core.tensors import fingerprint, read_tensors
from audiossl.core.terminal import Interrupted, on_signals, progress_bar
from audiossl.core.types import BatchSource
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.building import (
    batch_source,
    build_downstream,
    check_rows,
    complete_config,
    fit_statistics,
    warn_of_leaks,
)
from audiossl.experiments.cached_batches import FeatureNeeds, SharedFeatures, needs_of, open_features
from audiossl.experiments.config import Experiment, inputs_of
from audiossl.experiments.feature_form import why_not, why_not_pooled
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.sweeps.members import members_of
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord, is_sweep, read_sweep
from audiossl.experiments.training import begin_single, facts_of, finish_single, train_one
from audiossl.training.context import accelerator_of
from audiossl.training.downstream import Downstream
from audiossl.training.shared_pass import SharedHead, SharedPass
from audiossl.training.stacked_heads import may_be_stacked

_log = logging.getLogger(__name__)


Cuts = Mapping[str, CutSet]


@dataclass(eq=False)
class Member:
    """A member in training.

    record: what sweep.json says of it.
    config: its completed configuration.
    run: its folder.
    task: its head, on the encoder that all share.
    begun: whether it has a checkpoint to go on from.
    """

    record: MemberRecord
    config: Experiment
    run: RunFolder
    task: Downstream
    begun: bool

    @property
    def kind(self) -> Hashable:
        """All that decides what the head is and sees, but for the learning rate."""
        config = self.config
        facts = [config.seed, config.interface, config.interface_options, config.task]
        return json.dumps(facts, sort_keys=True, default=str)


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
    with RunFolder(out).writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        if resume and not is_sweep(out):
            raise ConfigError(f"{out} is a run of its own and cannot become a sweep; choose another folder with --out.")
        cuts = {split: read_manifest(config.data.path(split)) for split in ("train", "dev")}
        upstream = load_upstream(config.upstream, **config.upstream_options)
        # What trains in an encoder belongs to one member, and a shared pass is one process.
        together = config.finetune.mode == "none" and world_size() == 1
        members = _members(config, out, cuts, upstream, resume)
        warn_of_leaks(config.data, cuts)
        writer = _SweepWriter(config, members, out, resume)
        if together:
            _train_together(members, cuts, fingerprint(upstream), writer, stack=config.sweep.stack == "auto")
        else:
            _train_one_after_another(members, writer)
    for note in writer.notes:
        _log.info("%s", note)
    failed = [member.record for member in members if member.record.state == "failed"]
    if len(failed) == len(members):
        raise TrainingError(f"No member of the sweep {out} could be trained; the first: {failed[0].why}")
    return out


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
        if config.finetune.mode == "none":
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


class _SweepWriter:
    """Keeps sweep.json up to date while members are trained."""

    def __init__(self, config: Experiment, members: Sequence[Member], out: Path, resume: bool) -> None:
        self.out, self.active = out, is_main()
        if resume:
            stored = {each.name: each for each in read_sweep(out).members}
            for member in members:
                member.record = stored.get(member.record.name, member.record)
        monitor = members[0].task.monitor
        self._record = SweepRecord(monitor.name, monitor.mode, [member.record for member in members])
        if self.active:
            run = RunFolder(out)
            if not resume:
                run.clear()
            # First what makes it a run, last what makes it one to go on with: a kill between leaves no third thing.
            write_json(run.facts_path, RunFacts(members=[member.record.name for member in members]).as_json())
            self._record.write(out)
            run.write_config(config)

    @property
    def notes(self) -> list[str]:
        """What is to be known of the choice of a member."""
        return self._record.notes if self.active else []

    def begin(self, *members: Member) -> None:
        for member in members:
            member.record.state, member.record.why = "training", ""
        self._write()

    def finish(self, member: Member) -> None:
        member.record.state = "finished"
        if self.active:  # another process may be here before the file is
            best = read_tensors(member.run.checkpoint("best"))[1]
            member.record.dev, member.record.step = best["value"], best["step"]
        self._write()

    def fail(self, member: Member, error: TrainingError) -> None:
        _log.warning("Member %s of the sweep cannot go on: %s", member.record.name, error)
        member.record.state, member.record.why = "failed", str(error)
        self._write()

    def _write(self) -> None:
        if self.active:
            self._record.write(self.out)


def _train_one_after_another(members: Sequence[Member], writer: _SweepWriter) -> None:
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


def _train_together(
    members: Sequence[Member], cuts: Cuts, fingerprint: str, writer: _SweepWriter, *, stack: bool
) -> None:
    """Members on one frozen encoder, in one process: those with the same batches in one pass."""
    with ExitStack() as held:
        accelerator = accelerator_of(members[0].config.trainer)
        for member in members:
            held.enter_context(member.run.writing(resume=False, overwrite=True))
        features = held.enter_context(_features_of(members, accelerator, cuts, fingerprint))
        groups: dict[Hashable, _Group] = {}
        for member in members:
            own = features[member]
            facts = facts_of(member.task, accelerator.num_processes, fingerprint, own.form)
            begin_single(member.run, member.config, member.task, facts, resume=member.begun)
            # Heads read the same batches where seed, source and form are the same, and rows are grouped alike.
            key = member.config.seed, own.source and id(own.source), own.means, own.data.num_buckets
            if key not in groups:
                train, dev = (batch_source(member.task, member.config, cuts, split, own) for split in ("train", "dev"))
                groups[key] = _Group([], train, dev, stack=stack and own.vectors)
            groups[key].members.append(member)
        for group in groups.values():
            _fit(group, accelerator.device)
        stop = _Stop()
        with on_signals(stop.ask), progress_bar(True) as progress:
            for group in groups.values():
                _train_group(group, writer, stop, progress)


class _Stop:
    asked = False

    def ask(self) -> None:
        self.asked = True


class _Group(NamedTuple):
    """Members that see the same batches.

    stack: those of one kind are computed as one where they can be. With frames, the arithmetic of each head takes the
    time, not the number of operations: it pays to take turns.
    """

    members: list[Member]
    train: BatchSource
    dev: BatchSource
    stack: bool

    @property
    def heads(self) -> list[SharedHead]:
        """What the shared pass has to know of each member."""
        heads = []
        for member in self.members:
            stacked = self.stack and may_be_stacked(member.task, member.config.trainer)
            kind = member.kind if stacked else None
            heads.append(SharedHead(member.task, member.config.trainer, member.run.path, kind, member.begun))
        return heads


@contextmanager
def _features_of(
    members: Sequence[Member], accelerator: Accelerator, cuts: Cuts, fingerprint: str
) -> Iterator[dict[Member, SharedFeatures]]:
    """The hidden states of each member, opened once for all that need the same."""
    needs: dict[Hashable, FeatureNeeds] = {}
    key_of: dict[Member, Hashable] = {}
    for member in members:
        form = member.run.facts.features if member.begun else None  # of an earlier part of the sweep
        own = needs_of(member.config, member.task, fingerprint, form)
        key_of[member] = key = _kind_of(own)
        if key not in needs or (form and needs[key].form is None):
            needs[key] = own
    with open_features(list(needs.values()), accelerator, members[0].config.trainer, cuts) as opened:
        features = dict(zip(needs, opened, strict=True))
        yield {member: features[key_of[member]] for member in members}


def _kind_of(needs: FeatureNeeds) -> Hashable:
    """What decides which hidden states are stored, and whether."""
    return needs.task.interface.layers_read, why_not(needs.task, needs.data), bool(why_not_pooled(needs.task))


def _fit(group: _Group, device: torch.device) -> None:
    """Estimate statistics once for all new heads that need the same."""
    fitted: dict[Hashable, Downstream] = {}
    for member in group.members:
        if member.begun or not member.task.needs_fit:
            continue
        if member.kind in fitted:
            member.task.load_trainable_state(fitted[member.kind].trainable_state())  # all else is equal at the start
        else:
            fit_statistics(member.task, group.train, device)
            fitted[member.kind] = member.task


def _train_group(group: _Group, writer: _SweepWriter, stop: _Stop, progress: Progress) -> None:
    """Heads that see the same batches, to the end of all of them. Raises Interrupted."""
    if stop.asked:
        raise Interrupted(f"Stopped between two seeds; {writer.out} holds all that is needed to go on.")
    writer.begin(*group.members)
    first = group.members[0].config
    shared = SharedPass(group.heads, group.train, group.dev, first.seed)
    member_of = dict(zip(shared.trainers, group.members, strict=True))
    title = f"{len(group.members)} heads, seed {first.seed}"
    bar = progress.add_task(title, total=first.trainer.steps, completed=shared.step, note="")
    while len(shared):
        interrupted = False
        losses: list[float] = []
        try:
            losses = shared.turn(last=stop.asked)
        except Interrupted:
            interrupted = True
        # sweep.json follows each member, also where the others are stopped.
        for trainer in shared.take_ended():
            member = member_of[trainer]
            finish_single(member.run, member.config, member.task)
            writer.finish(member)
        for trainer, error in shared.take_failed():
            writer.fail(member_of[trainer], error)
        if interrupted:
            raise Interrupted(f"Stopped after step {shared.step}; {writer.out} holds all that is needed to go on.")
        if losses:
            note = f"losses {min(losses):.4f} to {max(losses):.4f}"
            progress.update(bar, completed=shared.step, note=note)
    progress.update(bar, completed=first.trainer.steps)
