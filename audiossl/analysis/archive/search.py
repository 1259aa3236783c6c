"""What of an archive sounds like a recording, and how unlike all of it a recording is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from audiossl.analysis.archive.index import ArchiveIndex, Match
from audiossl.analysis.archive.vectors import repeated
from audiossl.core.errors import AudioError, ConfigError, ManifestError
from audiossl.data.archive import archive_windows, part_of
from audiossl.data.config import ArchiveOptions
from audiossl.data.inputs import cuts_of
from audiossl.features.config import CacheConfig
from audiossl.metrics.clusters import Floats, Ints

_MOST_REFERENCES = 2000  # windows of the archive that make the scale of novelty
_ROUNDING_S = 1e-3


class Novelty(NamedTuple):
    """How unlike an archive a window is.

    id: of the window.
    start_s, end_s: in its file.
    distance: mean of 1 - cosine to the k nearest windows of the archive.
    share_farther: of the archive's windows, those that are farther from the k nearest of other recordings. Close to 0
        for what the archive has nothing like.
    """

    id: str
    start_s: float
    end_s: float
    distance: float
    share_farther: float


def search_index(
    index: ArchiveIndex,
    query: str | Path,
    *,
    count: int = 10,
    start_s: float = 0.0,
    end_s: float | None = None,
    cache: CacheConfig | None = None,
) -> list[Match]:
    """The windows that sound most like a recording, or a part of it.

    index: of the archive.
    query: a sound file.
    count: how many windows, of which no two share sound.
    start_s, end_s: the part of the file. None for to its end.
    cache: where its vector is kept.
    Raises AudioError for a query that is longer than the windows, ConfigError for another encoder than the index's.
    """
    cuts = cuts_of([str(query)])
    (cut, *others) = list(cuts)
    if others:
        raise AudioError(f"{query} has {len(others) + 1} recordings; search for one at a time.")
    end = cut.duration if end_s is None else end_s
    if not 0 <= start_s < end <= cut.duration + _ROUNDING_S:
        raise ConfigError(
            f"--start-s {start_s:g} and --end-s {end:g} are no part of {query}, which lasts {cut.duration:.3f} s."
        )
    if end - start_s > index.window_s + _ROUNDING_S:
        raise AudioError(
            f"{query} lasts {end - start_s:.3f} s and the windows of {index.folder} {index.window_s:g} s, so that no "
            f"window holds it; name the part to look for with --start-s and --end-s, or index longer windows."
        )
    if count < 1:
        raise ConfigError(f"--num {count}: ask for at least 1 window.")
    vectors = index.encode(type(cuts).from_cuts([part_of(cut, start_s, end)]), cache or CacheConfig())
    return index.nearest(vectors[0], count)


def novelty_of(
    index: ArchiveIndex, inputs: Sequence[str], *, neighbours: int = 5, cache: CacheConfig | None = None
) -> list[Novelty]:
    """How unlike the windows of an index each window of other recordings is. The index is of the training set.

    index: what is known.
    inputs: sound files, folders, patterns or manifests. They are cut as the archive was.
    neighbours: k.
    cache: where vectors are kept.
    Raises ConfigError for too few windows in the index, and as `archive_windows`.
    """
    if not 1 <= neighbours < len(index.windows):
        raise ConfigError(
            f"--neighbours {neighbours}: {index.folder} has {len(index.windows)} window(s), and there must be more of "
            f"them than neighbours, of which there is at least 1."
        )
    asked = {name: index.facts.options[name] for name in ("window_s", "hop_s", "lower_rates")}
    encoder = index.encoder()
    cuts = archive_windows(inputs, ArchiveOptions(**asked), encoder.upstream.sample_rate_hz)
    rows = list(cuts)
    if twice := repeated([cut.id for cut in rows]):
        raise ManifestError(f"Two windows have the id {twice!r}; give recordings ids of their own.")
    known = index.all_vectors()
    distances = _mean_distances(index.encode(cuts, cache or CacheConfig(), encoder), known, neighbours)
    scale = np.sort(reference_distances(known, [window.recording for window in index.windows], neighbours))
    farther = 1 - np.searchsorted(scale, distances, side="right") / len(scale)
    return [
        Novelty(
            cut.id,
            round(float(cut.start), 6),
            round(float(cut.start + cut.duration), 6),
            round(float(distance), 6),
            round(float(share), 6),
        )
        for cut, distance, share in zip(rows, distances, farther, strict=True)
    ]


def reference_distances(vectors: Floats, recordings: Sequence[str], neighbours: int) -> Floats:
    """(R,) distances of windows of an archive to the rest of it, the scale on which a new recording is novel.

    vectors: (N, D) of length one.
    recordings: (N,) of each. Neighbours of the same recording do not count, as a new recording has none. Where there is
        one recording alone, a window only does not count for itself.
    neighbours: k, as many as there are where there are fewer.
    """
    of: Ints = np.unique(np.array(recordings), return_inverse=True)[1]
    if not of.any():
        of = np.arange(len(of))
    chosen = np.random.default_rng(0).permutation(len(vectors))[:_MOST_REFERENCES]
    made = np.zeros(len(chosen))
    for place, number in enumerate(chosen):
        others = np.sort(1 - vectors[of != of[number]] @ vectors[number])
        made[place] = others[:neighbours].mean()
    return made


def _mean_distances(queries: Floats, known: Floats, neighbours: int) -> Floats:
    """(M,) mean of 1 - cosine of queries (M, D) to the nearest of known vectors (N, D)."""
    made = [np.partition(1 - known @ query, neighbours - 1)[:neighbours].mean() for query in queries]
    return np.array(made)
