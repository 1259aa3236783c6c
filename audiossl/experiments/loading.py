"""A trained run from its folder, of whichever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.building import build_downstream
from audiossl.experiments.config import Experiment, parse_settings, read_settings
from audiossl.experiments.folder import read_facts, restore
from audiossl.experiments.run import Run
from audiossl.experiments.sweeps.record import best_member, is_sweep


def load_run(folder: str | Path, checkpoint: str = "", device: str | None = None, overrides: Sequence[str] = ()) -> Run:
    """A trained run for prediction. Raises AudiosslError for a folder that is none.

    checkpoint: best, last or averaged; overrides: changes to its configuration, for instance data.dir=elsewhere. Of a
    cross-validation, the runs of all its folds as one; of a sweep, the member that is best on dev.
    """
    folder = best_member(Path(folder)) if is_sweep(Path(folder)) else Path(folder)
    if not (folder / "config.yaml").is_file():
        raise AudiosslError(f"{folder} is not a run folder (it has no config.yaml); give what `audiossl train` wrote.")
    if (read_settings(folder / "config.yaml").get("folds") or {}).get("by"):
        from audiossl.experiments.cross_validation.run import load_folds

        return load_folds(folder, checkpoint, device, overrides)
    stored = read_facts(folder).get("upstream_fingerprint")
    if stored is None:
        raise AudiosslError(f"{folder} is a pre-training run, which predicts nothing; use it as upstream={folder}.")
    layers = [read_settings(folder / "config.yaml"), parse_settings(overrides)]
    config: Experiment = structured(Experiment, *layers, where=f"{folder / 'config.yaml'}")
    upstream = load_upstream(config.upstream, **config.upstream_options)
    if stored != fingerprint(upstream):
        raise CheckpointError(
            f"The upstream {config.upstream!r} is not the one that {folder} was trained with (its weights or settings "
            f"changed); restore it, or train again."
        )
    task = build_downstream(config, upstream)
    restore(task, folder, checkpoint or config.checkpoint)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Run(folder, config, task.to(where).eval(), where, stored)
