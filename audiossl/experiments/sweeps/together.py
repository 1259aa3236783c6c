"""Members on one frozen encoder, in one process: those that see the same batches train in one shared pass.

Where there is a budget, all members of a seed are compared at the same evaluations, in however many passes they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from accelerate import Accelerator
from lhotse import CutSet
from rich.progress import Progress

from audiossl.core.config import as_dict
from audiossl.core.terminal import Interrupted, on_signals, progress_bar
from audiossl.core.types import BatchSource
from audiossl.experiments.adversary import build_adversary
from audiossl.experiments.building import batch_source, fit_statistics
from audiossl.experiments.cached_batches import FeatureNeeds, SharedFeatures, needs_of, open_features
from audiossl.experiments.feature_form import why_not, why_not_pooled
from audiossl.experiments.sweeps.halving import Rung
from audiossl.experiments.sweeps.writing import Member, SweepWriter
from audiossl.experiments.training import begin_single, facts_of, finish_single
from audiossl.training.checkpoints import BestWeights
from audiossl.training.context import accelerator_of
from audiossl.training.downstream import Downstream
from audiossl.training.shared_pass import SharedHead, SharedPass
from audiossl.training.stacked_heads import may_be_stacked
from audiossl.training.trackers import Trackers

Cuts = Mapping[str, CutSet]


def train_together(
    members: Sequence[Member],
    cuts: Cuts,
    fingerprint: str,
    writer: SweepWriter,
    *,
    stack: bool,
    rungs: Sequence[Rung] = (),
) -> None:
    """Members on one frozen encoder, in one process: those with the same batches in one pass.

    members: with their heads on the encoder.
    cuts: the rows of train and dev.
    fingerprint: of the encoder.
    writer: of sweep.json.
    stack: whether small heads may be computed as one.
    rungs: where the members of a seed are compared, and how many go on. Those that an earlier part of the sweep has
        stopped there stay so. Empty for all to the end.
    """
    if rungs:
        members = [member for member in members if member.record.state != "stopped"]
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
            member.task.oppose(build_adversary(member.config, member.task, cuts["train"]))
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
            for search in _searches(list(groups.values()), together=bool(rungs)):
                if stop.asked:
                    raise Interrupted(f"Stopped between two seeds; {writer.out} holds all that is needed to go on.")
                _train_search([_Passage(group, writer, progress) for group in search], rungs, writer, stop)


def _searches(groups: Sequence[_Group], *, together: bool) -> list[list[_Group]]:
    """Groups that train side by side: those of a seed where their members are compared on the way, else each alone."""
    if not together:
        return [[group] for group in groups]
    by_seed: dict[int, list[_Group]] = {}
    for group in groups:
        by_seed.setdefault(group.members[0].config.seed, []).append(group)
    return list(by_seed.values())


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
            place = member.task, member.config.trainer, member.run.path
            trackers = Trackers(*place[1:], as_dict(member.config), live=False)
            heads.append(SharedHead(*place, kind, member.begun, trackers))
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
    return (
        needs.task.interface.layers_read,
        why_not(needs.task, needs.data, needs.cache.copies),
        bool(why_not_pooled(needs.task)),
    )


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


class _Passage:
    """A group in its shared pass, followed by sweep.json and a progress bar."""

    def __init__(self, group: _Group, writer: SweepWriter, progress: Progress) -> None:
        writer.begin(*group.members)
        first = group.members[0].config
        self.shared = SharedPass(group.heads, group.train, group.dev, first.seed)
        self.members = dict(zip(self.shared.trainers, group.members, strict=True))
        self._writer, self._progress, self._steps = writer, progress, first.trainer.steps
        num = len(group.members)
        title = f"{num} head{'s' * (num > 1)}, seed {first.seed}"
        self._bar = progress.add_task(title, total=self._steps, completed=self.shared.step, note="")

    def train(self, stop: _Stop, until: int | None = None) -> None:
        """Train to the end of all members, or to this step and what is due after it. Raises Interrupted."""
        shared = self.shared
        while len(shared) and not (until is not None and shared.reached(until)):
            interrupted = False
            losses: list[float] = []
            try:
                losses = shared.turn(last=stop.asked)
            except Interrupted:
                interrupted = True
            self._follow()
            if interrupted:
                raise Interrupted(
                    f"Stopped after step {shared.step}; {self._writer.out} holds all that is needed to go on."
                )
            if losses:
                note = f"losses {min(losses):.4f} to {max(losses):.4f}"
                self._progress.update(self._bar, completed=shared.step, note=note)
        self._follow()
        if not len(shared):
            self._progress.update(self._bar, completed=self._steps)

    def _follow(self) -> None:
        """Let sweep.json follow each member, also where the others are stopped."""
        for trainer in self.shared.take_ended():
            member = self.members[trainer]
            finish_single(member.run, member.config, member.task)
            self._writer.finish(member)
        for trainer, error in self.shared.take_failed():
            self._writer.fail(self.members[trainer], error)

    def standing(self) -> Iterator[tuple[Member, BestWeights | None]]:
        """The members that can be compared, and the best that each has reached on dev (None: sweep.json has it)."""
        for trainer, member in self.members.items():
            if member.record.state == "training":
                yield member, next(iter(trainer.state.best), None)
            elif member.record.state == "finished":
                yield member, None

    def end(self, behind: Sequence[Member]) -> None:
        """Stop those of these members that are in this pass."""
        for trainer, member in self.members.items():
            if member in behind:
                self.shared.end(trainer)


def _train_search(passages: Sequence[_Passage], rungs: Sequence[Rung], writer: SweepWriter, stop: _Stop) -> None:
    """Passes side by side: at each rung the best of all their members go on. Raises Interrupted."""
    try:
        for rung in rungs:
            for passage in passages:
                passage.train(stop, rung.step)
            # Who stops is written before anybody goes past the rung, so that a sweep that was killed decides alike.
            found = [standing for passage in passages for standing in passage.standing()]
            behind = writer.compare(found, rung.step, rung.kept)
            for passage in passages:
                passage.end(behind)
        for passage in passages:
            passage.train(stop)
    except Interrupted:
        for passage in passages:
            passage.shared.save()
        raise
