"""Training by what a configuration asks for: one run, a sweep or a cross-validation."""

from __future__ import annotations

from pathlib import Path

from audiossl.core.files import write_json
from audiossl.core.tensors import fingerprint
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.building import (
    build_downstream,
    check_rows,
    completed,
    fit_statistics,
    sound_batches,
    warn_of_leaks,
)
from audiossl.experiments.cached_batches import feed_of
from audiossl.experiments.config import (
    Experiment,
)
from audiossl.experiments.folder import describe, form_of, read_facts, run_folder, write_interface
from audiossl.experiments.sweeps.record import is_sweep
from audiossl.training.context import accelerator_of
from audiossl.training.trainer import Trainer


def train(config: Experiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Train a head in the run folder `out`, or one for each fold or for each member of a sweep.

    Raises TrainingError if there is a run already.
    """
    if config.sweep.axes or (resume and is_sweep(out)):
        from audiossl.experiments.sweeps.training import train_sweep

        return train_sweep(config, out, resume=resume, overwrite=overwrite)
    if config.folds.by:
        from audiossl.experiments.cross_validation.training import train_folds

        return train_folds(config, out, resume=resume, overwrite=overwrite)
    with run_folder(out, resume=resume, overwrite=overwrite):
        cuts = {split: read_manifest(config.data.path(split)) for split in ("train", "dev")}
        config = completed(config, cuts["train"])
        upstream = load_upstream(config.upstream, **config.upstream_options)
        print_of_upstream = fingerprint(upstream)  # of the weights as they come, before anything is added to them
        task = build_downstream(config, upstream)
        check_rows(task, config.data, cuts)
        warn_of_leaks(config.data, cuts)
        form = form_of(out) if resume else None
        feed = feed_of(config, task, print_of_upstream, form, config.trainer.precision)
        feed.check()
        accelerator = accelerator_of(config.trainer)
        describe(out, config, task, accelerator, resume, print_of_upstream)
        with feed.serving(accelerator, config.trainer, cuts) as served:
            if accelerator.is_main_process:
                write_json(out / "run.json", {**read_facts(out), "features": served.form})
            train_batches, dev_batches = (
                served.batches(split, config.seed) or sound_batches(task, config, cuts, split)
                for split in ("train", "dev")
            )
            if not resume:
                fit_statistics(task, train_batches)
            Trainer(task, config.trainer, out, train_batches, dev_batches, seed=config.seed).fit(resume=resume)
        if accelerator.is_main_process:
            write_interface(task, config, out)
    return out
