"""Distillation in the steps of fine-tuning (Heo et al., OS-KDFT, 2023, arXiv:2305.17394), for any task.

The loss is that of the objective `distil`, on rows of its own beside those of the task.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from accelerate import Accelerator

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.manifests import read_manifest
from audiossl.data.paired import Beside
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.surroundings import surroundings_of
from audiossl.training.downstream import Downstream
from audiossl.training.objective import Objective, load_objective

if TYPE_CHECKING:
    from lhotse import CutSet


def build_distillation(config: Experiment, student: Upstream, mark: str) -> Objective | None:
    """The objective by which a student is taught, which copies layers of the teacher where that is asked for.

    It is to be built before a head is, which decides what of the student trains.

    config: of the experiment.
    student: the encoder that a head will train.
    mark: its fingerprint.
    Returns None where nothing is distilled. Raises ConfigError, UnknownNameError, CheckpointError.
    """
    chosen = config.distill
    if not chosen.teacher:
        return None
    changed = config.data.changed_sound
    if chosen.options.get("states") == "cache" and changed and chosen.weight:
        raise ConfigError(
            f"{changed}, of which the cache has no states of the teacher; leave distill.options.states out, or that."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        objective = load_objective("distil", student, teacher=chosen.teacher, **chosen.options)
    if chosen.weight and cast(Any, objective).teacher.fingerprint == mark:
        raise ConfigError(
            f"distill.teacher={chosen.teacher} is the student itself, of which there is nothing to learn; name a "
            f"larger teacher, or a smaller student by upstream."
        )
    return objective if chosen.weight else None


@contextmanager
def distillation(
    task: Downstream, objective: Objective | None, config: Experiment, train: CutSet, accelerator: Accelerator
) -> Iterator[Beside | None]:
    """Let an objective teach the encoder of a task in its training steps, until they end.

    task: the head on its encoder.
    objective: on the same encoder. None for nothing.
    config: of the experiment.
    train: the training rows of the task.
    accelerator: which process this is, of how many, and on which device.
    Gives the rows that come beside those of the task, None for none. Raises ManifestError for rows that cannot be used.
    """
    if objective is None:
        yield None
        return
    chosen = config.distill
    rows, heard = train, train
    if chosen.data:
        rows = heard = read_manifest(chosen.manifest)
        if chosen.curriculum:
            _check_ids(rows, train, chosen.manifest)
            heard = rows + train
    steps = config.trainer.steps * config.trainer.batches_per_step
    with surroundings_of(config, {"train": heard}, accelerator) as surroundings:
        task.distil(objective, chosen.weight)
        objective.prepare(surroundings)
        yield Beside(rows, steps if chosen.curriculum else 0)


def _check_ids(rows: CutSet, train: CutSet, manifest: Path) -> None:
    """Raise ManifestError for a row that has the id of a training row: of which of them hidden states are kept?"""
    known = {cut.id for cut in train}
    both = next((cut.id for cut in rows if cut.id in known), None)
    if both is not None:
        raise ManifestError(
            f"Row {both} is in {manifest} and among the training rows, and distill.curriculum=true goes from the one "
            f"to the other; make distill.data of other rows, or with other ids."
        )
