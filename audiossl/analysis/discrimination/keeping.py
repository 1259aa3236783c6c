"""Figures of the layers of an encoder, kept in the folder of a study, so that an interrupted one goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiossl.analysis.discrimination.asking import ComparedSegments
from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.analysis.discrimination.likeness import WordRating
from audiossl.core.files import read_json, write_json
from audiossl.metrics.jackknife import Estimate

_FORMAT = 1  # another one where the same segments would get other figures


class ScoreName(NamedTuple):
    """A figure: which score, of which distance between segments."""

    score: str
    distance: str

    def __str__(self) -> str:
        return f"{self.score} ({self.distance})"

    @property
    def smaller_is_better(self) -> bool:
        """Of errors."""
        return self.score.startswith("abx")


class KeptLayers:
    """What is finished of an encoder.

    folder: where it lies, a file a layer.
    fingerprint: of the encoder.
    question: of all else that decides the figures, as `question_of` gives it.
    """

    def __init__(self, folder: Path, fingerprint: str, question: str) -> None:
        self.folder, self.key = folder, f"{fingerprint} {question}"

    def read(self, layer: int) -> dict[ScoreName, Estimate] | None:
        """The figures of a layer. None where they are not there, or of something else."""
        path = self._path(layer)
        said = read_json(path) if path.is_file() else {}
        if said.get("key") != self.key:
            return None
        return {
            ScoreName(row["score"], row["distance"]): Estimate(
                row["value"], np.array(row["without"], dtype=np.float64), row["scale"], row["num_items"]
            )
            for row in said["figures"]
        }

    def write(self, layer: int, figures: Mapping[ScoreName, Estimate]) -> None:
        """Keep the figures of a layer."""
        rows = [
            {**name._asdict(), **each._asdict(), "without": each.without.tolist()} for name, each in figures.items()
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path(layer), {"key": self.key, "figures": rows})

    def _path(self, layer: int) -> Path:
        return self.folder / f"layer_{layer:03d}.json"


def question_of(
    comparison: ComparedSegments, ratings: Sequence[WordRating], options: DiscriminationOptions, states: str
) -> str:
    """A hash of what is compared and how, but for the encoder, its layers and the sound.

    comparison: the segments.
    ratings: of words.
    options: how they are compared.
    states: how states are kept, which rounds them.
    """
    how = {name: value for name, value in dataclasses.asdict(options).items() if name not in ("layers", "random")}
    rows = [(str(cut.id), cut.duration) for cut in comparison.cuts]
    segments = [[each.recording, each.start_s, each.end_s, each.label] for each in comparison.segments]
    said = [_FORMAT, how, rows, segments, comparison.speakers, comparison.clusters.of.tolist(), ratings, states]
    made = hashlib.sha256(json.dumps(said).encode())
    for title, cells in comparison.cells.items():
        for cell in cells:  # which of many segments are drawn, and in which context
            made.update(f"{title} {cell.pair} {cell.context} {cell.speakers}".encode())
            made.update(np.concatenate([cell.a, cell.b, cell.x]).tobytes())
    return made.hexdigest()
