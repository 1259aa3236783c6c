"""Several runs of one task as one: fitted on what they predicted of dev, applied to another split, and compared.

    fused = fuse_runs(["runs/a", "runs/b"])
    fused.metrics, fused.differences

How predictions become one is the task's (`Downstream.fuse`). No encoder is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import read_jsonl, write_json, write_jsonl
from audiossl.core.outputs import check_out
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.types import metrics_as_json
from audiossl.experiments.folder import RunFolder, now
from audiossl.training.fusion import Fused
from audiossl.training.task import Prediction


def fuse_runs(folders: Sequence[Path], split: str = "test") -> Fused:
    """The runs as one on a split. They must have been evaluated on dev and on it.

    folders: of at least two runs of one task.
    split: what the fusion is applied to.
    Raises ConfigError for fewer runs or several tasks, AudiosslError where a folder is no run, where predictions are
    missing or are not of the same items, or where the task has no way to fuse.
    """
    if len(folders) < 2 or len({path.resolve() for path in folders}) < len(folders):
        raise ConfigError("A fusion needs two or more runs, each of them once; name another run.")
    if split == "dev":
        raise ConfigError(
            "The fusion is fitted on dev, so that its figures of dev would say nothing; take another split."
        )
    runs = [RunFolder(path) for path in folders]
    for run in runs:
        if run.kind not in ("single", "cross_validation"):
            raise ConfigError(f"{run} has no predictions of its own; give runs of a task, or members of a sweep.")
    names = {run.config().downstream for run in runs}
    if len(names) > 1:
        raise ConfigError(f"The runs are of different tasks ({', '.join(sorted(names))}); fuse those of one.")
    dev, test = ([_predictions(path, name) for path in folders] for name in ("dev", split))
    fused: Fused = DOWNSTREAMS.load(names.pop()).fuse(dev, test)
    return fused


def write_fused(out: Path, folders: Sequence[Path], split: str, fused: Fused) -> None:
    """Write predictions.jsonl and metrics.json of a fusion into the folder `out`/`split`.

    out: a folder of its own.
    folders: of the runs.
    split: what it was applied to.
    fused: what came of it.
    """
    check_out(out, "folder", list(map(str, folders)))
    place = out / split
    place.mkdir(parents=True, exist_ok=True)
    write_jsonl(place / "predictions.jsonl", fused.predictions)
    write_json(place / "metrics.json", {"split": split, **fused_as_json(folders, fused), "created": now()})


def fused_as_json(folders: Sequence[Path], fused: Fused) -> dict[str, Any]:
    """The runs, the metrics, the facts of the fusion, and its differences from each run."""
    differences = [each._asdict() for each in fused.differences]
    return {
        "runs": [str(path) for path in folders],
        "metrics": metrics_as_json(fused.metrics),
        **fused.facts,
        "compared": fused.compared,
        "differences": differences,
    }


def _predictions(folder: Path, split: str) -> list[Prediction]:
    path = RunFolder(folder).split(split).predictions
    if not path.is_file():
        raise AudiosslError(
            f"{folder} has no predictions of {split}; make them with `audiossl evaluate {folder} --split {split}`."
        )
    return sorted(read_jsonl(path), key=lambda row: str(row["id"]))
