"""The members of a sweep in training, and sweep.json kept up to date with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiossl.core.config import as_dict
from audiossl.core.errors import TrainingError
from audiossl.core.files import write_json
from audiossl.core.processes import is_main
from audiossl.core.tensors import read_tensors
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord, read_sweep
from audiossl.training.checkpoints import BestWeights
from audiossl.training.downstream import Downstream

_log = logging.getLogger(__name__)


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
        facts = [config.seed, config.interface, config.interface_options, config.task, as_dict(config.adversary)]
        return json.dumps(facts, sort_keys=True, default=str)


class SweepWriter:
    """Keeps sweep.json up to date while members are trained.

    config: of the sweep.
    members: its runs.
    out: its folder.
    resume: whether it goes on.
    identity: what run.json is to say of what decides its result (`identity_facts`).
    """

    def __init__(
        self,
        config: Experiment,
        members: Sequence[Member],
        out: Path,
        resume: bool,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
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
            facts = RunFacts(members=[member.record.name for member in members], **(identity or {}))
            write_json(run.facts_path, facts.as_json())
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

    def compare(self, found: Iterable[tuple[Member, BestWeights | None]], step: int, kept: int) -> list[Member]:
        """Say how members stand at a rung, and which of them stop there.

        found: those that train or are finished, and the best that each has reached on dev so far.
        step: at which they are compared.
        kept: how many of them go on.
        Returns those that stop. One that is finished is never among them.
        """
        by_record = {}
        for member, best in found:
            by_record[member.record.name] = member
            if best is not None:
                member.record.dev, member.record.step = best
        ranked = [record for record in self._record.ranked("training", "finished") if record.name in by_record]
        behind = [by_record[record.name] for record in ranked[kept:] if record.state == "training"]
        for member in behind:
            member.record.state, member.record.why = "stopped", f"behind on dev at step {step}"
        self._write()
        return behind

    def _write(self) -> None:
        if self.active:
            self._record.write(self.out)
