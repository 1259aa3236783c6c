"""One run, from its configuration to a run folder."""

from __future__ import annotations

from pathlib import Path

from audiossl.data.manifests import read_manifest
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.building import (
    build_pretraining,
    fit_statistics,
    sound_batches,
)
from audiossl.experiments.config import (
    PretrainExperiment,
)
from audiossl.experiments.folder import describe, restore, run_folder
from audiossl.training.context import accelerator_of
from audiossl.training.trainer import Trainer


def pretrain(config: PretrainExperiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Pre-train an encoder in the run folder `out`; writes `upstream.safetensors`, which `load_upstream(out)` reads."""
    with run_folder(out, resume=resume, overwrite=overwrite):
        cuts = {split: read_manifest(config.data.path(split)) for split in ("train", "dev")}
        task = build_pretraining(config)
        accelerator = accelerator_of(config.trainer)
        describe(out, config, task, accelerator, resume)
        if config.init and not resume:
            restore(task, Path(config.init), "best")
        train_batches, dev_batches = (sound_batches(task, config, cuts, split) for split in ("train", "dev"))
        if not resume:
            fit_statistics(task, train_batches)
        state = Trainer(task, config.trainer, out, train_batches, dev_batches, seed=config.seed).fit(resume=resume)
        if accelerator.is_main_process:
            restore(task, out, "best")
            kept = state.best[0] if state.best else None
            card = {"name": config.name, "step": kept.step if kept else state.step, "seed": config.seed}
            card |= {"dev_loss": kept.value} if kept else {}
            save_upstream(task.upstream, out / "upstream.safetensors", card)
    return out
