"""Runs and encoders to and from folders and the Hugging Face hub, in the words of `PyTorchModelHubMixin`.

push_to_hub("runs/digits", "me/digits")
run = from_pretrained("me/digits")
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from audiossl.encoders.hub import local_path
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.loading import load_run
from audiossl.experiments.publishing.contents import write_published
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.publishing.upload import check_repository, require_token, upload
from audiossl.experiments.run import Run

Model = Run | Upstream | str | Path


def save_pretrained(model: Model, folder: str | Path, repository: str = "", options: PushOptions | None = None) -> Path:
    """Write a run or an encoder into a new folder, with its card, as it would be sent to the hub.

    model: an encoder, a run, the folder of a run, or what `load_upstream` takes.
    Of a run it is what lies in its folder.
    folder: a new one.
    repository: the <owner>/<name> that the card names. '' for the name of the folder.
    options: what the card says of licence and data.
    Returns the folder.
    Raises OutputError, TrainingError, CheckpointError.
    """
    given = model.folder if isinstance(model, Run) else model
    folder = Path(folder)
    write_published(given, folder, repository or f"OWNER/{folder.name}", options or PushOptions())
    return folder


def push_to_hub(model: Model, repository: str, options: PushOptions | None = None) -> str:
    """Send a run or an encoder to the Hugging Face hub, in one commit. The token is that of `hf auth login`.

    model: as for `save_pretrained`.
    repository: <owner>/<name>, which is made where there is none.
    options: whether it is private, and what the card says.
    Returns the revision, which `load_run("hf:<owner>/<name>@<revision>")` takes.
    Raises OutputError where the hub does not take it, and what `save_pretrained` raises.
    """
    options = options or PushOptions()
    check_repository(repository)
    require_token()
    with TemporaryDirectory() as place:
        folder = save_pretrained(model, Path(place) / "model", repository, options)
        return upload(folder, repository, private=options.private)


def from_pretrained(name: str | Path, revision: str = "", device: str | None = None) -> Run | Upstream:
    """A run or an encoder, from a folder or from the Hugging Face hub.

    name: a folder of `save_pretrained` or of a run, or <owner>/<name> on the hub.
    revision: a branch, a tag or a commit there. '' for the one that was met first.
    device: where a run predicts. None for a GPU where there is one.
    Returns a run where there is one, else an encoder in eval mode.
    Raises CheckpointError for what is missing or was changed, and AudiosslError for a run that predicts nothing.
    """
    where = str(name) if Path(name).exists() else f"hf:{name}" + (f"@{revision}" if revision else "")
    path, source = local_path(where) if where.startswith("hf:") else (Path(where), "")
    if not source and (RunFolder(path).is_run and RunFolder(path).kind != "pretraining"):
        return load_run(path, device=device)
    return load_upstream(where)
