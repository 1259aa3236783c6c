"""What runs have written into a folder, so that it can be removed while all else there stays.

A run is known by its run.json. Another program's config.yaml, or somebody's notes in a run folder, are not of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from audiossl.core.errors import AudiosslError
from audiossl.core.files import read_json
from audiossl.encoders.encoder_file import NAME as ENCODER_NAME
from audiossl.encoders.encoder_file import RUN_NAME, UPSTREAM_NAME
from audiossl.training.config import TRACKERS_NAME
from audiossl.training.log import LOG_NAME

CONFIG_NAME = "config.yaml"
LOCK_NAME = ".lock"
SWEEP_NAME = "sweep.json"
FOLDS_NAME = "folds.json"
STAGES_NAME = "stages"
_FILES = (ENCODER_NAME, LOG_NAME, TRACKERS_NAME, UPSTREAM_NAME, "interface.json", SWEEP_NAME, FOLDS_NAME)
_PICTURES = ("*.png", "*.svg")
_OF_A_SPLIT = (*_PICTURES, "predictions.jsonl", "metrics.json", "adversary.jsonl", "scores.txt", "scores.tsv")
_FOLDERS = {
    "checkpoints": ("last.safetensors", "best.safetensors", "averaged.safetensors", "kept-*.safetensors"),
    "embeddings": ("*.npz",),
    "figures": _PICTURES,
    "tensorboard": ("events.out.tfevents.*",),
    "manifests/*": ("train.jsonl.gz", "dev.jsonl.gz", "test.jsonl.gz"),
}
_INNER = ("checkpoints", "embeddings", "figures", "tensorboard", "manifests", "folds", STAGES_NAME)
PARTS_OF_A_RUN = (*_FILES, CONFIG_NAME, RUN_NAME, *_INNER)
HALF_WRITTEN = ".*.????????.part"


def is_of_a_run(folder: Path) -> bool:
    """Whether the run.json of a folder is one that a run wrote."""
    with suppress(AudiosslError):
        return {"command", "versions"} <= read_json(folder / RUN_NAME).keys()
    return False


def written_in(folder: Path) -> Iterator[Path]:
    """The files that a run wrote into its folder, those of stages, members and folds first, its own description last.

    A run that was killed while its files were removed is thus still one.
    """
    for inner in _runs_in(folder):
        yield from (*(written_in(inner) if is_of_a_run(inner) else ()), inner / LOCK_NAME)
    for inner in sorted(folder.glob("*")):
        if not inner.is_symlink() and _is_evaluation(inner):
            yield from _matching(inner, *_OF_A_SPLIT, HALF_WRITTEN)
    for name, patterns in _FOLDERS.items():
        for inner in sorted(folder.glob(name)):
            if not inner.is_symlink() and not inner.parent.is_symlink():
                yield from _matching(inner, *patterns, HALF_WRITTEN)
    yield from _matching(folder, HALF_WRITTEN, *_FILES, CONFIG_NAME, RUN_NAME)


def remove_written(folder: Path) -> None:
    """Remove what a run wrote into its folder, and the folders that are empty then. Nothing else."""
    for path in list(written_in(folder)):
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == folder:
                break
            with suppress(OSError):  # not empty yet, or at all
                parent.rmdir()


def has_weights(folder: Path) -> bool:
    """Whether anything that was trained is left there: a checkpoint of the run, or of a member or fold."""
    return any(path.suffix == ".safetensors" for path in written_in(folder))


def _runs_in(folder: Path) -> Iterator[Path]:
    """The folders of stages, members and folds, as the run itself lists them: other runs may lie beside them."""
    with suppress(AudiosslError):
        count, place = read_json(folder / RUN_NAME).get("stages"), folder / STAGES_NAME
        for number in range(1, count if isinstance(count, int) and not place.is_symlink() else 0):
            if (place / str(number)).is_dir() and not (place / str(number)).is_symlink():
                yield place / str(number)
    for name, place in ((SWEEP_NAME, folder), (FOLDS_NAME, folder / "folds")):
        with suppress(AudiosslError):
            stored = read_json(folder / name)
            members = stored.get("members") if name == SWEEP_NAME else [{"name": fold} for fold in stored]
            names = [each.get("name") for each in members or () if isinstance(each, dict)]
            found = (path for path in sorted(place.glob("*")) if path.name in names)
            yield from (path for path in found if path.is_dir() and not path.is_symlink() and not place.is_symlink())


def _is_evaluation(folder: Path) -> bool:
    """Whether `evaluate` wrote there, to its end or not."""
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        return (folder / "predictions.jsonl").is_file()
    with suppress(AudiosslError):
        return "metrics" in read_json(metrics)
    return False


def _matching(folder: Path, *patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        yield from (path for path in sorted(folder.glob(pattern)) if path.is_symlink() or not path.is_dir())
