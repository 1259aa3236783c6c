"""The folder of a run: who may write it, what it says of itself, and the weights that it keeps."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.config import save_yaml
from audiossl.core.errors import AudiosslError, CheckpointError, TrainingError
from audiossl.core.files import write_json
from audiossl.core.tensors import read_tensors
from audiossl.training.downstream import Downstream

if TYPE_CHECKING:
    from accelerate import Accelerator

    from audiossl.experiments.config import Experiment
    from audiossl.features.config import Form
    from audiossl.training.task import Task


@contextmanager
def run_folder(out: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Make sure that `out` may be written, and that nobody else writes it at the same time."""
    first = int(os.environ.get("RANK", "0")) == 0  # torchrun and accelerate launch set it
    if resume and not (out / "config.yaml").is_file():
        raise TrainingError(f"{out} is not a run folder, so nothing can be resumed; start without --resume.")
    if not first:
        yield
        return
    if (out / "config.yaml").is_file() and not (resume or overwrite):
        raise TrainingError(f"{out} has a run already: go on with --resume {out}, or replace it with --overwrite.")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(f"Another process is training in {out}; choose another folder with --out.") from error
        yield


def empty(out: Path) -> None:
    """Remove what an earlier run left, but for the lock that is held."""
    if (out / "config.yaml").is_file():
        for path in out.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()


def describe(
    out: Path, config: Any, task: Task, accelerator: Accelerator, resume: bool, print_of_upstream: str | None = None
) -> None:
    """config.yaml and run.json; a resumed run keeps the fingerprint it started with, and must still match it."""
    if not accelerator.is_main_process:
        return
    facts: dict[str, Any] = {
        "command": " ".join(["audiossl", *sys.argv[1:]]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_parameters": sum(p.numel() for p in task.parameters()),
        "num_trainable": sum(p.numel() for p in task.parameters() if p.requires_grad),
        "processes": accelerator.num_processes,
        "versions": {name: version(name) for name in ("torch", "numpy", "lhotse", "accelerate")},
    }
    if isinstance(task, Downstream):
        upstream_trains = sum(p.numel() for p in task.upstream.parameters() if p.requires_grad)
        facts["num_trainable_head"] = facts["num_trainable"] - upstream_trains
        facts["num_trainable_upstream"] = upstream_trains
        facts["upstream_fingerprint"] = print_of_upstream
        stored = read_facts(out) if resume else facts
        if stored.get("upstream_fingerprint") != facts["upstream_fingerprint"]:
            raise CheckpointError(f"The upstream {config.upstream!r} changed since {out} was started; train again.")
        if "features" in stored:
            facts["features"] = stored["features"]
    if not resume:
        empty(out)
    write_json(out / "run.json", facts)
    save_yaml(config, out / "config.yaml")


def read_facts(folder: Path) -> dict[str, Any]:
    """What `describe` wrote into run.json."""
    try:
        facts: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise AudiosslError(f"{folder / 'run.json'} cannot be read; train again with --overwrite.") from error
    return facts


def form_of(folder: Path) -> Form | None:
    """The form of features that a run was started with; None before it was chosen."""
    form: Form | None = read_facts(folder).get("features")
    return form


def restore(task: Task, folder: Path, checkpoint: str) -> None:
    """Load the weights `checkpoint` (best, last or averaged) of a run folder. Raises CheckpointError."""
    path = folder / "checkpoints" / f"{checkpoint}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.safetensors"))) or "none"
        raise CheckpointError(f"{folder} has no checkpoint {checkpoint!r}; it has: {known}.")
    state, _ = read_tensors(path)
    if checkpoint == "last":  # holds the optimizer as well
        state = {name.removeprefix("model/"): value for name, value in state.items() if name.startswith("model/")}
    task.load_trainable_state(state)


def write_interface(task: Downstream, config: Experiment, out: Path) -> None:
    """interface.json of a finished run, of its best weights, which the task has afterwards."""
    restore(task, out, "best")
    write_json(out / "interface.json", {"name": config.interface, "layer_weights": task.interface.layer_weights()})
