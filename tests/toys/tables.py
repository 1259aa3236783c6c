"""Data sets of `datasets` with a column of sound, made without the package torchcodec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def dataset_of(paths: Sequence[Path], classes: Mapping[str, Sequence[str]], **columns: Sequence[Any]) -> Any:
    """A `datasets.Dataset` with the files' bytes as its column `audio`.

    paths: of the files, a row each.
    classes: columns that become classes, with the name of each row's.
    columns: others.
    """
    import datasets

    sounds = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    made = datasets.Dataset.from_dict({"audio": sounds, **classes, **columns}).cast_column("audio", datasets.Audio())
    for name in classes:
        made = made.class_encode_column(name)
    return made
