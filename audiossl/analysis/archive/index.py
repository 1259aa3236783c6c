"""An index of the windows of an archive: a folder that answers which of them sound like a recording.

    index.json         the encoder with its fingerprint, layer, windows
    windows.csv        file, start, end and label of each window
    mean.npy           what all vectors have in common, which is taken out before the cosine
    vectors.usearch    the rest, of length one, in the form of the library usearch (HNSW: Malkov and Yashunin, 2018,
                       arXiv:1603.09320)

Up to `MOST_COMPARED` windows every one is compared with the query. Above, the graph of the index is followed.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiossl.analysis.archive.config import IndexOptions
from audiossl.analysis.archive.vectors import one_layer, repeated, unit, window_vectors
from audiossl.core.config import as_dict
from audiossl.core.errors import ConfigError, ManifestError, OutputError
from audiossl.core.files import atomic_folder, read_json, write_json
from audiossl.core.outputs import check_out
from audiossl.data.archive import archive_windows
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import read_field
from audiossl.data.leaks import source_of
from audiossl.data.reading import path_of
from audiossl.encoders.kept import Identified, load_identified
from audiossl.features.config import CacheConfig
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse.cut import Cut

MOST_COMPARED = 100_000
_FACTS, _WINDOWS, _MEAN, _VECTORS = "index.json", "windows.csv", "mean.npy", "vectors.usearch"


class IndexedWindow(NamedTuple):
    """A window of an archive.

    file: its sound file.
    start_s, end_s: in the file.
    recording: what is taken as one recording, its file where the manifest says nothing else.
    label: what the manifest says of it, '' for nothing.
    """

    file: str
    start_s: float
    end_s: float
    recording: str
    label: str

    def overlaps(self, other: IndexedWindow) -> bool:
        """Whether the two share sound."""
        return self.file == other.file and self.start_s < other.end_s and other.start_s < self.end_s


class Match(NamedTuple):
    """A window that sounds like a query. score: the cosine of the two vectors, without what all have in common."""

    file: str
    start_s: float
    end_s: float
    score: float
    label: str


@dataclass(frozen=True)
class IndexFacts:
    """What index.json says."""

    upstream: str
    """Name of the encoder."""
    upstream_fingerprint: str
    """Of the encoder as it was loaded."""
    layer: int
    """The layer that vectors are of."""
    num_windows: int
    """How many there are."""
    upstream_options: dict[str, Any] = field(default_factory=dict)
    """The encoder's own options."""
    options: dict[str, Any] = field(default_factory=dict)
    """What was asked for, as IndexOptions."""


@dataclass(frozen=True)
class ArchiveIndex:
    """An index that is open.

    folder: where it lies.
    facts: what it is of.
    windows: of the archive, N of them.
    mean: (D,) of all vectors.
    vectors: usearch's index of the N vectors without the mean, of length one.
    """

    folder: Path
    facts: IndexFacts
    windows: list[IndexedWindow]
    mean: Floats
    vectors: Any

    @property
    def window_s(self) -> float:
        """Seconds of a window."""
        return float(self.facts.options["window_s"])

    def all_vectors(self) -> Floats:
        """(N, D), of length one."""
        made: Floats = np.asarray(self.vectors.get(np.arange(len(self.windows))), dtype=np.float64)
        return made

    def centred(self, vectors: Floats) -> Floats:
        """Vectors (M, D) of the encoder, as they are compared."""
        return unit(vectors - self.mean)

    def encode(self, cuts: Any, cache: CacheConfig, encoder: Identified | None = None) -> Floats:
        """(M, D) of rows as they are compared.

        cuts: the rows.
        cache: where vectors are kept.
        encoder: that of the index, where it is loaded already.
        Raises ConfigError for another one.
        """
        pool = str(self.facts.options["pool"])
        return self.centred(window_vectors(encoder or self.encoder(), cuts, self.facts.layer, pool, cache))

    def encoder(self) -> Identified:
        """The encoder of the index. Raises ConfigError where what now has its name is another one."""
        encoder = load_identified(self.facts.upstream, self.facts.upstream_options)
        self.check_encoder(encoder, self.facts.upstream)
        return encoder

    def check_encoder(self, encoder: Identified, name: str) -> None:
        """Raise ConfigError for another encoder than that of the index."""
        if encoder.fingerprint != self.facts.upstream_fingerprint:
            raise ConfigError(
                f"{self.folder} is an index of {self.facts.upstream} with fingerprint "
                f"{self.facts.upstream_fingerprint[:12]}, and {name} has {encoder.fingerprint[:12]}: vectors of two "
                f"encoders cannot be compared; make the index again with `audiossl index`."
            )

    def nearest(self, vector: Floats, count: int) -> list[Match]:
        """The windows nearest to a vector (D,), the nearest first. Of windows that share sound the best one counts."""
        total = len(self.windows)
        asked, found = min(total, 4 * count), list[tuple[int, float]]()
        while True:
            told = self.vectors.search(vector.astype(np.float32), asked, exact=total <= MOST_COMPARED)
            found = self._apart(np.asarray(told.keys).tolist(), (1 - np.asarray(told.distances)).tolist())
            if len(found) >= count or asked >= total:
                break
            asked = min(total, 4 * asked)
        return [self._match(place, score) for place, score in found[:count]]

    def _apart(self, places: Sequence[int], scores: Sequence[float]) -> list[tuple[int, float]]:
        kept: list[tuple[int, float]] = []
        by_file: dict[str, list[IndexedWindow]] = {}
        for place, score in zip(places, scores, strict=True):
            window = self.windows[place]
            if not any(window.overlaps(other) for other in by_file.setdefault(window.file, [])):
                by_file[window.file].append(window)
                kept.append((place, score))
        return kept

    def _match(self, place: int, score: float) -> Match:
        window = self.windows[place]
        return Match(window.file, window.start_s, window.end_s, round(score, 6), window.label)


def build_index(
    name: str,
    inputs: Sequence[str],
    out: Path,
    options: IndexOptions,
    upstream_options: Mapping[str, Any] | None = None,
    cache: CacheConfig | None = None,
    bad: BadRows | None = None,
) -> ArchiveIndex:
    """Encode the windows of an archive and write their index.

    name: of an encoder, as `load_upstream` takes it, which may be the folder of a run.
    inputs: sound files, folders, patterns or manifests.
    out: the folder of the index. One that is there is replaced, any other folder is an error.
    options: windows, layer, pooling.
    upstream_options: the encoder's own.
    cache: where vectors are kept beside the index, so that a second index of the same windows is quick.
    bad: what becomes of recordings that cannot be read. None for an error.
    Raises ConfigError, AudioError, ManifestError, OutputError.
    """
    library = load_usearch()
    check_out(out, "folder", inputs)
    if out.exists() and any(out.iterdir()) and not (out / _FACTS).is_file():
        raise OutputError(f"{out} is a folder with other files and no index; choose another --out.")
    encoder = load_identified(name, dict(upstream_options or {}))
    layer = one_layer(options.layer, encoder.upstream.num_layers)
    cuts = archive_windows(inputs, options, encoder.upstream.sample_rate_hz, bad)
    rows = list(cuts)
    if twice := repeated([cut.id for cut in rows]):
        raise ManifestError(f"Two windows of the archive have the id {twice!r}; give recordings ids of their own.")
    vectors = window_vectors(encoder, cuts, layer, options.pool, cache or CacheConfig())
    mean = vectors.mean(axis=0)
    facts = IndexFacts(name, encoder.fingerprint, layer, len(rows), dict(upstream_options or {}), as_dict(options))
    # One thread, so that the graph is the same every time.
    graph = library.Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    graph.add(np.arange(len(rows)), unit(vectors - mean).astype(np.float32), threads=1)
    with atomic_folder(out) as folder:
        write_json(folder / _FACTS, as_dict(facts))
        _write_windows(folder / _WINDOWS, [_indexed(cut, options.field) for cut in rows])
        np.save(folder / _MEAN, mean)
        graph.save(str(folder / _VECTORS))
    return open_index(out)


def open_index(folder: str | Path) -> ArchiveIndex:
    """An index that `build_index` wrote. Raises ConfigError for a folder that has none, or a damaged one."""
    place, library = Path(folder), load_usearch()
    if not (place / _FACTS).is_file():
        raise ConfigError(
            f"There is no index in {place}; make one with `audiossl index ENCODER ARCHIVE --out {place}`."
        )
    try:
        facts = IndexFacts(**read_json(place / _FACTS))
        with open(place / _WINDOWS, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        windows = [
            IndexedWindow(row["file"], float(row["start_s"]), float(row["end_s"]), row["recording"], row["label"])
            for row in rows
        ]
        mean = np.load(place / _MEAN, allow_pickle=False)
        graph = library.Index.restore(str(place / _VECTORS))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{place} is a damaged index ({error}); make it again with `audiossl index`.") from error
    if graph is None or not len(windows) == len(graph) == facts.num_windows:
        raise ConfigError(f"{place} is a damaged index, whose files do not belong together; make it again.")
    return ArchiveIndex(place, facts, windows, mean, graph)


def load_usearch() -> Any:
    """The library. Raises ConfigError where it is not there."""
    try:
        import usearch.index
    except ImportError as error:
        raise ConfigError(
            "An index needs the package usearch, which is not installed; run `pip install audiossl-toolkit[search]`."
        ) from error
    return usearch.index


def _indexed(cut: Cut, label_field: str) -> IndexedWindow:
    path = path_of(cut)
    file = os.path.abspath(path) if path else str(cut.id)
    recording = source_of(cut)
    label = read_field(cut, label_field) or ""
    return IndexedWindow(
        file,
        round(float(cut.start), 6),
        round(float(cut.start + cut.duration), 6),
        file if recording == path else recording,
        label,
    )


def _write_windows(path: Path, windows: Sequence[IndexedWindow]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(IndexedWindow._fields)
        writer.writerows(windows)
