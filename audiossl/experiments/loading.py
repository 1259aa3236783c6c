"""A trained run from its folder, of whichever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.encoders.hub import SOURCES, local_path
from audiossl.encoders.listed import is_listed, require_whole
from audiossl.experiments.cross_validation.run import load_folds
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.published_runs import run_of_model
from audiossl.experiments.run import Run, load_single
from audiossl.experiments.sweeps.record import best_member


def load_run(folder: str | Path, checkpoint: str = "", device: str | None = None, overrides: Sequence[str] = ()) -> Run:
    """A trained run for prediction.

    Of a cross-validation it is all folds as one, of a sweep the member that is best on dev.

    folder: what `audiossl train` wrote, hf:<owner>/<name>[@<revision>] for what `audiossl push` sent, or a model of
    another toolkit with a head that a task knows, such as hf:<folder or repository> of a `Wav2Vec2ForCTC`.
    checkpoint: best, last or averaged. '' for what the run is configured to use.
    device: where it runs. None for a GPU where there is one.
    overrides: changes to its configuration, for instance data.dir=elsewhere.
    Raises AudiosslError for a folder that holds no such run, and CheckpointError for a published one that was changed.
    """
    folder = run_folder(folder)
    kind = RunFolder(folder).kind
    if kind == "pretraining":
        raise AudiosslError(f"{folder} is a pre-training run, which predicts nothing; use it as upstream={folder}.")
    if kind == "cross_validation":
        return load_folds(folder, checkpoint, device, overrides)
    return load_single(best_member(folder) if kind == "sweep" else folder, checkpoint, device, overrides)


def run_folder(reference: str | Path) -> Path:
    """The folder of a run, fetched where `hf:<owner>/<name>` names it. What was published must be as it was then.

    A model of another toolkit is written as a run into the cache first (`audiossl.experiments.published_runs`).
    Raises CheckpointError.
    """
    text = str(reference)
    named = text.partition(":")[0] in SOURCES and not Path(text).exists()
    path, toolkit = local_path(text) if named else (Path(text), "")
    made = run_of_model(text, path, toolkit) if toolkit else None
    if made is None and (toolkit or (is_listed(path) and require_whole(path).kind != "run")):
        raise CheckpointError(f"{reference} is an encoder, which predicts nothing; use it as upstream={reference}.")
    return made or path
