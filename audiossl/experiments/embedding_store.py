"""Embeddings that a run has made of a split, kept in its folder: RUN/embeddings/<split>.npz, or RUN/emissions.

They are of one state of the weights and of the rows, which the key says. A file with another key counts as none, so
that a run that was trained on never answers with what it was before.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.files import atomic_write, file_sha256
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import path_of
from audiossl.experiments.config import DataConfig
from audiossl.training.task import Prediction

MANIFEST_SUFFIXES = (".jsonl", ".jsonl.gz")
_SUFFIX = ".npz"


class EmbeddingStore:
    """The embeddings of a split in a run folder.

    field: of a prediction, whose arrays are kept as numbers. The rest of it is text.

    folder: of the run.
    checkpoint: the file of the weights that make them.
    name: of the split, or the path of a manifest.
    cuts: its rows.
    parts_s: seconds of the parts that the rows are. None for whole items.
    """

    folder, field = "embeddings", "embedding"

    def __init__(
        self, folder: Path, checkpoint: Path, name: str, cuts: Iterable[Cut], parts_s: float | None = None
    ) -> None:
        parts = "" if parts_s is None else f"-in-{parts_s:g}-s"
        self.path = folder / self.folder / f"{_file_name(name)}{parts}{_SUFFIX}"
        places = [(cut.id, path_of(cut), cut.start, cut.duration, read_field(cut, "speaker")) for cut in cuts]
        rows = json.dumps(sorted(places, key=str), ensure_ascii=False)
        self.key = hashlib.sha256(f"{file_sha256(checkpoint)}{rows}".encode()).hexdigest()

    def read(self) -> list[Prediction] | None:
        """The predictions, sorted by id. None where there are none of these weights and rows."""
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                if str(stored["key"]) != self.key:
                    return None
                vectors, rows = self._read(stored), json.loads(str(stored["rows"]))
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):  # missing, or damaged
            return None
        if len(vectors) != len(rows):
            return None
        return [{**row, self.field: vector} for row, vector in zip(rows, vectors, strict=True)]

    def write(self, rows: Sequence[Prediction]) -> None:
        """Keep predictions, each with the field. Nothing is kept in a folder that cannot be written."""
        if not os.access(self.path.parent.parent, os.W_OK):
            return
        others = [{key: value for key, value in row.items() if key != self.field} for row in rows]
        text = json.dumps(others, ensure_ascii=False)
        stored: dict[str, Any] = {"key": self.key, "rows": text, **self._written([row[self.field] for row in rows])}
        self.path.parent.mkdir(exist_ok=True)
        with atomic_write(self.path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **stored)

    def _read(self, stored: Any) -> Sequence[Any]:
        """The arrays of the rows."""
        vectors: list[Any] = stored["embeddings"].tolist()
        return vectors

    def _written(self, arrays: Sequence[Any]) -> dict[str, Any]:
        """What is stored of them."""
        return {"embeddings": np.array(arrays, dtype=np.float32)}


class EmissionStore(EmbeddingStore):
    """The logarithms of probabilities of all steps of a split: RUN/emissions/<split>.npz."""

    folder, field = "emissions", "log_probs"

    def _read(self, stored: Any) -> Sequence[Any]:
        ends = np.cumsum(stored["steps"])
        return np.split(stored["emissions"], ends[:-1]) if len(ends) else []

    def _written(self, arrays: Sequence[Any]) -> dict[str, Any]:
        steps = np.array([len(array) for array in arrays], dtype=np.int64)
        whole = np.concatenate(arrays) if arrays else np.zeros((0, 0))
        return {"emissions": whole.astype(np.float32), "steps": steps}


def items_named(data: DataConfig, name: str, parts_s: float | None = None) -> CutSet:
    """The rows that embeddings are of.

    data: where the splits are.
    name: of a split, or the path of a manifest.
    parts_s: seconds of the consecutive parts that each row is cut into. None for whole rows.
    """
    cuts = read_manifest(name) if is_manifest(name) else data.rows(name)
    if parts_s is None:
        return cuts
    return CutSet.from_cuts(part for cut in cuts for part in _parts_of(cut, parts_s))


def is_manifest(name: str) -> bool:
    """Whether a name is the path of a manifest, and not a split of the data folder."""
    return name.endswith(MANIFEST_SUFFIXES)


def _parts_of(cut: Cut, parts_s: float) -> Iterator[Cut]:
    """As many parts as fit, to the sample. What is left over is left out, and a row of less than two stays whole."""
    size = round(parts_s * cut.sampling_rate)
    if cut.num_samples < 2 * size:
        yield cut
        return
    for number in range(cut.num_samples // size):
        start_s, lasts_s = number * size / cut.sampling_rate, size / cut.sampling_rate
        yield cut.truncate(offset=start_s, duration=lasts_s).with_id(f"{cut.id}-{number + 1}")


def _file_name(name: str) -> str:
    return f"of-{Path(name).name.partition('.')[0]}" if is_manifest(name) else name
