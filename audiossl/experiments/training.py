"""One run, from its configuration to a run folder."""

from __future__ import annotations

from pathlib import Path

from audiossl.data.manifests import read_manifest
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.building import (
    build_objective,
    fit_statistics,
    trainer_of,
)
from audiossl.experiments.config import (
    PretrainExperiment,
)
from audiossl.experiments.folder import describe, restore, run_folder


def pretrain(config: PretrainExperiment, out: Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Pre-train an encoder in the run folder `out`; writes `upstream.safetensors`, which `load_upstream(out)` reads."""
    with run_folder(out, resume=resume, overwrite=overwrite):
        cuts = {split: read_manifest(config.data.path(split)) for split in ("train", "dev")}
        task = build_objective(config)
        trainer = trainer_of(task, config, out, cuts)
        describe(out, config, task, trainer, resume)
        if config.init and not resume:
            restore(task, Path(config.init), "best")
        if not resume:
            fit_statistics(task, trainer)
        state = trainer.fit(resume=resume)
        if trainer.accelerator.is_main_process:
            restore(task, out, "best")
            kept = state.best[0] if state.best else None
            card = {"name": config.name, "step": kept.step if kept else state.step, "seed": config.seed}
            card |= {"dev_loss": kept.value} if kept else {}
            save_upstream(task.upstream, out / "upstream.safetensors", card)
    return out
