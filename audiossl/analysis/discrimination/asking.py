"""Which segments are compared: read, left out where they do not count, and drawn where there are too many."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import LabelError, ManifestError
from audiossl.data.manifests import read_manifest
from audiossl.data.segments import Segment, by_recording, column_of, read_segments
from audiossl.metrics.abx import AbxCell, cells_of
from audiossl.metrics.clusters import Clusters, clusters_of
from audiossl.metrics.same_different import SegmentPairs, pairs_of

if TYPE_CHECKING:
    from lhotse import CutSet

_log = logging.getLogger(__name__)
_EDGE = "#"  # what is before the first segment of a recording, and after the last


class ComparedSegments(NamedTuple):
    """N segments and what of them is compared, which is the same for all encoders and layers.

    cuts: their rows.
    segments: N of them.
    speakers: (N,).
    clusters: of the segments, for intervals.
    pairs: by score, for average precision.
    cells: by score, for ABX.
    left_out: why a score that was asked for cannot be computed, by its name.
    """

    cuts: CutSet
    segments: list[Segment]
    speakers: list[str]
    clusters: Clusters
    pairs: dict[str, SegmentPairs]
    cells: dict[str, list[AbxCell]]
    left_out: dict[str, str]


def ask(manifests: Sequence[Path], options: DiscriminationOptions) -> ComparedSegments:
    """Read rows and segments, and find out what can be compared.

    Raises ManifestError for rows that two manifests have, LabelError for segments without a speaker, and where nothing
    of what is asked for can be compared.
    """
    from lhotse import CutSet

    rows = [cut for path in manifests for cut in read_manifest(path)]
    if twice := next((name for name, count in Counter(str(cut.id) for cut in rows).items() if count > 1), ""):
        raise ManifestError(f"Row {twice} is in the manifests twice; name each manifest once, or rename the row.")
    cuts, where = CutSet.from_cuts(rows), ", ".join(str(path) for path in manifests)
    # Neighbours are those of the recording, before anything is left out.
    every = read_segments(cuts, options.alignment, field=options.tier, where=where)
    around = _contexts(every) if options.context == "neighbours" else [""] * len(every)
    kept = _kept(every, options)
    segments, contexts = [every[place] for place in kept], [around[place] for place in kept]
    speakers = column_of(segments, "speaker", "telling speakers apart")
    groups = column_of(segments, options.group, "intervals (--group)")
    _check_groups(speakers, groups, options.group)
    labels = [each.label for each in segments]
    pairs: dict[str, SegmentPairs] = {}
    cells: dict[str, list[AbxCell]] = {}
    left_out: dict[str, str] = {}
    for name in comma_list(options.scores):
        for which in ("all", "across") if name == "ap" else ("within", "across"):
            title = "ap" if which == "all" else f"{name}_{which}"
            try:
                if name == "ap":
                    pairs[title] = pairs_of(labels, speakers if which == "across" else ())
                else:
                    how = {"most": options.most_per_cell, "seed": options.seed}
                    cells[title] = cells_of(labels, speakers, contexts, kind=which, **how)  # type: ignore[arg-type]
            except ValueError as error:
                left_out[title] = str(error)
    if not pairs and not cells:
        raise LabelError(f"Nothing of {where} can be compared: {next(iter(left_out.values()))}")
    clusters = clusters_of(groups, len(groups), options.group)
    return ComparedSegments(cuts, segments, speakers, clusters, pairs, cells, left_out)


def _contexts(segments: Sequence[Segment]) -> list[str]:
    """(N,) the labels before and after each segment of a recording."""
    place = {id(each): number for number, each in enumerate(segments)}
    found = [""] * len(segments)
    for _, own in by_recording(segments):
        labels = [_EDGE, *(each.label for each in own), _EDGE]
        for number, each in enumerate(own):
            found[place[id(each)]] = f"{labels[number]} {labels[number + 2]}"
    return found


def _kept(segments: Sequence[Segment], options: DiscriminationOptions) -> list[int]:
    """The numbers of the segments that count."""
    ignored = set(comma_list(options.ignore))
    kept = [
        number
        for number, each in enumerate(segments)
        if each.label not in ignored and each.duration_s >= options.shortest_s
    ]
    counts = Counter(segments[number].label for number in kept)
    rare = [label for label, count in counts.items() if count < options.least_items]
    if rare:
        _log.warning(
            "%d of %d labels have fewer than %d segments and are left out, %s for instance.",
            len(rare), len(counts), options.least_items, rare[0],
        )  # fmt: skip
        kept = [number for number in kept if counts[segments[number].label] >= options.least_items]
    if len(kept) > options.most_items:
        _log.warning("%d of %d segments are drawn (--most-items).", options.most_items, len(kept))
        drawn = np.random.default_rng(options.seed).permutation(len(kept))[: options.most_items]
        kept = [kept[place] for place in sorted(drawn.tolist())]
    if not kept:
        raise LabelError("No segment is left to compare; check --ignore, --shortest-s and --least-items.")
    return kept


def _check_groups(speakers: Sequence[str], groups: Sequence[str], name: str) -> None:
    """Raise LabelError where a speaker is in two groups, of which one would be left out without the other."""
    known: dict[str, str] = {}
    for speaker, group in zip(speakers, groups, strict=True):
        if known.setdefault(speaker, group) != group:
            raise LabelError(
                f"Speaker {speaker} has {name}={known[speaker]} and {name}={group}, and intervals leave out whole "
                f"speakers; take --group speaker."
            )
