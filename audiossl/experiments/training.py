"""One run, from its configuration to a run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from audiossl.core.config import as_dict
from audiossl.core.errors import CheckpointError
from audiossl.encoders.encoder_file import EncoderFile
from audiossl.encoders.kept import load_identified
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.adversary import build_adversary
from audiossl.experiments.building import (
    batch_source,
    build_downstream,
    build_objective,
    check_nothing_trains,
    check_rows,
    complete_config,
    fit_statistics,
    warn_of_leaks,
)
from audiossl.experiments.cached_batches import needs_of, open_features
from audiossl.experiments.config import Experiment, PretrainExperiment, inputs_of
from audiossl.experiments.continuing import load_init, take_heads, take_weights
from audiossl.experiments.distillation import build_distillation, distillation
from audiossl.experiments.folder import LayerWeights, RunFacts, RunFolder
from audiossl.experiments.identity.keys import identity_facts
from audiossl.experiments.periodic_probe import ProbingEvaluator
from audiossl.experiments.resuming import begin_again, say_if_nothing_was_left
from audiossl.experiments.run import encoder_file_of
from audiossl.experiments.stages import with_task
from audiossl.experiments.surroundings import surroundings_of
from audiossl.features.config import Form
from audiossl.training.chooser import Chooser
from audiossl.training.context import accelerator_of
from audiossl.training.downstream import Downstream
from audiossl.training.task import Task
from audiossl.training.trackers import Trackers
from audiossl.training.trainer import Trainer


class Stage(NamedTuple):
    """What a run is, that is a stage of a training.

    before: the stage whose weights it begins with. None for the first.
    whole: what config.yaml says, of the last stage, whose folder holds the others. None for another.
    """

    before: RunFolder | None
    whole: Experiment | None = None


def train_one(
    config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False, stage: Stage | None = None
) -> Path:
    """Train one head in the run folder `out`.

    config: what to train.
    out: the run folder.
    resume: go on with the run that is there.
    overwrite: replace it.
    stage: what it goes on from. None for a training of its own.
    Returns `out`.
    Raises TrainingError if there is a run already, ConfigError, LabelError, ... before any training.
    """
    run = RunFolder(out)
    with run.writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        train_in(run, config, resume=resume, stage=stage)
    return out


def train_in(run: RunFolder, config: Experiment, *, resume: bool = False, stage: Stage | None = None) -> None:
    """Train one head in a folder that this process writes. Errors are those of `train_one`.

    run: the folder.
    config: what to train.
    resume: go on with the run that is there.
    stage: what it goes on from. None for a training of its own.
    """
    stage = stage or Stage(None)
    asked = stage.whole or config
    check_nothing_trains(asked)
    before = begin_again(run, asked) if resume else None
    cuts = {split: config.data.rows(split) for split in ("train", "dev")}
    config = complete_config(config, cuts["train"])
    # The fingerprint is of the weights as they come, before anything is added to them.
    upstream, upstream_fingerprint = encoder = load_identified(config.upstream, config.upstream_options)
    known = stage.whole is not None or stage.before is None  # else the weights that it begins with decide as well
    identity = identity_facts(asked, encoder, run.facts if resume else None) if known else {}
    objective = build_distillation(config, upstream, upstream_fingerprint)
    task = build_downstream(config, upstream)
    check_rows(task, config.data, cuts)
    if task.trains:  # of other tasks, train gives statistics alone
        warn_of_leaks(config.data, cuts)
    if stage.before is not None and not resume:
        take_weights(task, stage.before)
    # A later stage trains all that those before it have trained, so that what it leaves is still as it was loaded.
    needs = needs_of(config, task, upstream_fingerprint, run.facts.features if resume else None)
    needs.check()
    accelerator = accelerator_of(config.trainer)
    facts = facts_of(task, accelerator.num_processes, upstream_fingerprint)  # without heads of a distillation
    with (
        open_features([needs], accelerator, config.trainer, cuts) as (features,),
        distillation(task, objective, config, cuts["train"], accelerator) as beside,
    ):
        task.oppose(build_adversary(config, task, cuts["train"]))
        train = batch_source(task, config, cuts, "train", features, beside)
        sources = [train, batch_source(task, config, cuts, "dev", features)]
        trackers = Trackers(config.trainer, run.path, as_dict(config))
        place = task, config.trainer, run.path
        trainer = (
            Trainer(*place, *sources, seed=config.seed, trackers=trackers)
            if task.trains
            else Chooser(*place, sources[1], trackers=trackers)
        )
        # All that can be wrong before the first step was found: what an earlier run left may go.
        if accelerator.is_main_process:
            facts = replace(facts, features=features.form, **identity)
            begin_single(run, config, task, facts, resume=resume, whole=stage.whole)
        if not (resume and task.trains):
            fit_statistics(task, sources[0], accelerator.device)
        step = trainer.fit(resume=resume).step
    if task.trains:
        say_if_nothing_was_left(run, before, step)
    if accelerator.is_main_process:
        finish_single(run, config, task)
    accelerator.wait_for_everyone()  # a stage that comes next reads what was written


def facts_of(
    task: Task, processes: int, upstream_fingerprint: str | None = None, features: Form | None = None
) -> RunFacts:
    """What run.json says of a run at its beginning.

    task: what is trained.
    processes: how many train it.
    upstream_fingerprint: of the encoder as it was loaded. None in pre-training.
    features: the form in which hidden states are read. None in pre-training.
    """
    trainable = sum(p.numel() for p in task.parameters() if p.requires_grad)
    facts = RunFacts(
        num_parameters=sum(p.numel() for p in task.parameters()),
        num_trainable=trainable,
        processes=processes,
        upstream_fingerprint=upstream_fingerprint,
        features=features,
    )
    if not isinstance(task, Downstream):
        return facts
    inside = sum(p.numel() for p in task.upstream.parameters() if p.requires_grad)
    return replace(facts, num_trainable_head=trainable - inside, num_trainable_upstream=inside)


def begin_single(
    run: RunFolder,
    config: Experiment,
    task: Downstream,
    facts: RunFacts,
    *,
    resume: bool,
    whole: Experiment | None = None,
) -> None:
    """Write what a head is trained on into its folder.

    run: the folder.
    config: the completed configuration.
    task: the head on its encoder.
    facts: what run.json is to say.
    resume: whether the run goes on.
    whole: the configuration with all stages, of the last, whose folder keeps what is there. None for another run.
    Raises CheckpointError for a run that goes on and whose encoder is another one now.
    """
    if resume and run.facts.upstream_fingerprint != facts.upstream_fingerprint:
        raise CheckpointError(f"The upstream {config.upstream!r} changed since {run} was started; train again.")
    encoder, written = encoder_file_of(run, config, task, facts.upstream_fingerprint or ""), config
    if whole is not None:
        written, facts = with_task(whole, config.task), replace(facts, stages=1 + len(whole.stages))
    run.begin(written, facts, encoder, resume=resume or whole is not None)


def finish_single(run: RunFolder, config: Experiment, task: Downstream) -> None:
    """Write interface.json of a finished run. The task has the best weights afterwards.

    run: the folder.
    config: the completed configuration.
    task: the head on its encoder.
    """
    run.restore(task, "best")
    run.write_interface(LayerWeights(config.interface, task.layer_weights()))


def pretrain(config: PretrainExperiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Pre-train an encoder in the run folder `out`. `load_upstream(out)` reads what is written at the end.

    config: what to train.
    out: the run folder.
    resume: go on with the run that is there.
    overwrite: replace it.
    Returns `out`.
    Raises TrainingError if there is a run already, ConfigError for an encoder that the objective cannot train.
    """
    run = RunFolder(out)
    with run.writing(resume=resume, overwrite=overwrite, inputs=inputs_of(config)):
        before = begin_again(run, config) if resume else None
        cuts = {split: config.data.rows(split) for split in ("train", "dev")}
        upstream = None
        if config.init and not resume:
            config, upstream = load_init(config)
        task = build_objective(config, upstream)
        if upstream is not None:
            take_heads(task, config)
        accelerator = accelerator_of(config.trainer)
        sources = [batch_source(task, config, cuts, split) for split in ("train", "dev")]
        evaluator = ProbingEvaluator(config.probe) if config.probe.every else None
        trackers = Trackers(config.trainer, out, as_dict(config))
        trainer = Trainer(task, config.trainer, out, *sources, seed=config.seed, evaluator=evaluator, trackers=trackers)
        with surroundings_of(config, cuts, accelerator) as surroundings:
            task.prepare(surroundings)
            # All that can be wrong before the first step was found: what an earlier run left may go.
            if accelerator.is_main_process:
                encoder = EncoderFile(weights=run.upstream_path.name)
                run.begin(config, facts_of(task, accelerator.num_processes), encoder, resume=resume)
            if not resume:
                fit_statistics(task, sources[0], accelerator.device)
            state = trainer.fit(resume=resume)
        say_if_nothing_was_left(run, before, state.step)
        # The encoder alone, as it was best on dev: the objective's heads stay in the checkpoints.
        if accelerator.is_main_process:
            if trainer.context.is_sharded:
                task = build_objective(config)  # the trained one stays in parts
            run.restore(task, "best")
            best = state.best[0] if state.best else None
            card = {"name": config.name, "step": best.step if best else state.step, "seed": config.seed}
            card |= {"dev_loss": best.value} if best else {}
            save_upstream(task.upstream, run.upstream_path, card)
    return out
