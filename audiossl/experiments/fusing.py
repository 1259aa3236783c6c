"""Several runs of one task as one: fitted on what they predicted of dev or not, and compared with each of them.

    fused = fuse_runs(["runs/a", "runs/b"])
    fused.metrics, fused.differences

How predictions become one is the task's (`Downstream.fuse`). No encoder is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import read_json, read_jsonl, write_json, write_jsonl
from audiossl.core.outputs import check_out
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.types import metrics_as_json
from audiossl.experiments.folder import RunFolder, now
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.task import Prediction


def fuse_runs(folders: Sequence[Path], split: str = "test", weights: str = "dev") -> Fused:
    """The runs as one on a split. They must have been evaluated on it, and on dev where weights are fitted there.

    folders: of at least two runs of one task.
    split: what the fusion is applied to.
    weights: of the runs, 'dev' or 'equal'.
    Raises ConfigError for fewer runs or several tasks, AudiosslError where a folder is no run, where predictions are
    missing or are not of the same items, or where the task has no way to fuse.
    """
    if len(folders) < 2 or len({path.resolve() for path in folders}) < len(folders):
        raise ConfigError("A fusion needs two or more runs, each of them once; name another run.")
    if weights not in get_args(FusionWeights):
        raise ConfigError(f"--weights {weights!r}: choose dev or equal.")
    if split == "dev" and weights == "dev":
        raise ConfigError(
            "The fusion is fitted on dev, so that its figures of dev would say nothing; take another split."
        )
    runs = [RunFolder(path) for path in folders]
    for run in runs:
        if run.kind not in ("single", "cross_validation"):
            raise ConfigError(f"{run} has no predictions of its own; give runs of a task, or members of a sweep.")
        if run.kind == "cross_validation" and weights == "dev":
            raise ConfigError(
                f"{run} is a cross-validation, each fold of which has a dev part of its own; take --weights equal, or "
                f"fuse the runs of one fold."
            )
    names = {run.config().downstream for run in runs}
    if len(names) > 1:
        raise ConfigError(f"The runs are of different tasks ({', '.join(sorted(names))}); fuse those of one.")
    given = [
        RunToFuse(
            _predictions(path, "dev") if weights == "dev" else [],
            _predictions(path, split),
            read_json(RunFolder(path).split(split).metrics),
        )
        for path in folders
    ]
    fused: Fused = DOWNSTREAMS.load(names.pop()).fuse(given, cast(FusionWeights, weights))
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
