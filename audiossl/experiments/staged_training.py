"""Training in stages: a run for each below RUN/stages, but for the last, which is RUN itself.

Whatever reads RUN (evaluations, predictions, reports) so reads the last stage. A stage begins with the weights that the
one before would predict with, and an optimizer and a schedule of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from audiossl.core.errors import AudiosslError, ConfigError, TrainingError
from audiossl.core.processes import is_main
from audiossl.experiments.building import (
    batch_source,
    build_downstream,
    check_nothing_trains,
    check_rows,
    complete_config,
)
from audiossl.experiments.cached_batches import needs_of
from audiossl.experiments.config import Experiment, inputs_of
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.resuming import changed_settings
from audiossl.experiments.stages import stage_configs
from audiossl.experiments.training import Stage, train_in, train_one

_MAY_DIFFER = ("data.dir", "data.num_workers", "trainer.device", "cache.", "features")  # of a stage that is finished


def train_stages(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train the stages one after the other. On resuming, the one that was stopped goes on from its last checkpoint.

    config: what to train, with `stages`.
    out: the run folder.
    resume: go on with the run that is there.
    overwrite: replace it.
    Returns `out`.
    Raises ConfigError, LabelError, ... for any of the stages before the first is trained.
    """
    run, configs = RunFolder(out), stage_configs(config)
    inputs = [path for each in configs for path in inputs_of(each)]
    with run.writing(resume=resume, overwrite=overwrite, inputs=inputs):
        if resume and run.facts.stages != len(configs):
            raise ConfigError(
                f"{run} was begun with {run.facts.stages or 1} stage(s), and now there are {len(configs)}; leave them "
                f"as they were, or train in another folder."
            )
        completed = _checked(config, configs)
        folders = [*(run.stage(number) for number in range(1, len(configs))), run]
        done = [resume and folder.is_finished for folder in folders[:-1]]
        begun = [resume and folder.can_resume for folder in folders]
        for folder, finished, wanted in zip(folders, done, completed, strict=False):
            if finished:
                _check_as_it_was(folder, wanted)
        if is_main():
            run.begin(config, run.facts if resume else RunFacts(stages=len(configs)), resume=resume)
        for number, name in enumerate(["", *config.stages]):
            if number < len(done) and done[number]:
                continue
            _say(number, len(configs), name)
            before = folders[number - 1] if number else None
            if folders[number] is run:
                train_in(run, configs[number], resume=begun[number], stage=Stage(before, whole=config))
            else:
                # What was stopped before its first checkpoint begins again.
                train_one(
                    configs[number],
                    folders[number].path,
                    resume=begun[number],
                    overwrite=not begun[number],
                    stage=Stage(before),
                )
    return out


def _say(number: int, count: int, name: str) -> None:
    if is_main():
        title = f"Stage {number + 1} of {count}" + (f": {name}" if name else "")
        Console(stderr=True).print(title, markup=False, highlight=False)


def _checked(config: Experiment, configs: Sequence[Experiment]) -> list[Experiment]:
    """The completed configurations of all stages, whose heads can be built, read their rows and keep what was trained.

    Raises ConfigError, LabelError, ... with the name of the stage.
    """
    check_nothing_trains(config)
    completed, trained = [], set[str]()
    for name, each in zip(["", *config.stages], configs, strict=True):
        try:
            cuts = {split: each.data.rows(split) for split in ("train", "dev")}
            completed.append(complete_config(each, cuts["train"]))
            task = build_downstream(completed[-1])
            check_rows(task, each.data, cuts)
            needs_of(completed[-1], task, "", None).check()
            for split in cuts:
                batch_source(task, each, cuts, split)
            now = {tensor for tensor in task.trainable_state() if tensor.startswith("upstream.")}
            if lost := trained - now:
                raise ConfigError(
                    f"{len(lost)} tensors of the encoder that the stage before trains would be lost, "
                    f"{min(lost).removeprefix('upstream.')} for instance, as finetune={each.finetune.mode} does not "
                    f"keep them; leave finetune as it was in the stage before."
                )
            trained = now
        except AudiosslError as error:
            raise (type(error)(f"Stage {name!r}: {error}") if name else error) from error
    return completed


def _check_as_it_was(folder: RunFolder, wanted: Experiment) -> None:
    """Raise TrainingError where a stage that is finished would be another one by the settings that are given now."""
    changes = [each for each in changed_settings(folder, wanted) if not each.startswith(_MAY_DIFFER)]
    if changes:
        raise TrainingError(
            f"{folder}, a stage that is finished, was trained with other settings: {', '.join(changes)}. Change a "
            f"later stage, as stages.NAME.{changes[0].partition('=')[0]}=..., or train in another folder."
        )
