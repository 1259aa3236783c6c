"""What is asked of which segments: their targets, and who is held out."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.analysis.segment_probes.fitting import Targets
from audiossl.analysis.segment_probes.folds import HeldOut, cells_of, draw_parts
from audiossl.analysis.segment_probes.voices import F0_COLUMN, with_f0
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import LabelError, ManifestError
from audiossl.data.manifests import read_manifest
from audiossl.data.segments import Segment, column_of, read_segments
from audiossl.metrics.clusters import Clusters, clusters_of

if TYPE_CHECKING:
    from lhotse import CutSet

_log = logging.getLogger(__name__)


class AskedSegments(NamedTuple):
    """N segments and what is asked of them.

    cuts: their rows.
    segments: N of them.
    targets: (N,) classes or numbers.
    cells: the tests.
    clusters: what intervals are over.
    groups: (N,) the same by name.
    """

    cuts: CutSet
    segments: list[Segment]
    targets: Targets
    cells: list[HeldOut]
    clusters: Clusters
    groups: list[str]


def ask(manifests: Sequence[Path], options: SegmentProbeOptions) -> AskedSegments:
    """Read rows and segments, and draw who is held out.

    Raises LabelError for targets that cannot be told: one class, no numbers, a target that is held out, and for columns
    that a segment lacks, ManifestError for rows that two manifests have.
    """
    from lhotse import CutSet

    rows = [cut for path in manifests for cut in read_manifest(path)]
    if twice := next((name for name, count in Counter(str(cut.id) for cut in rows).items() if count > 1), ""):
        raise ManifestError(f"Row {twice} is in the manifests twice; name each manifest once, or rename the row.")
    cuts = CutSet.from_cuts(rows)
    where = ", ".join(str(path) for path in manifests)
    how = {"field": options.tier, "ignored": comma_list(options.ignore), "where": where}
    segments = read_segments(cuts, options.alignment, **how)  # type: ignore[arg-type]
    if options.target == F0_COLUMN and not any(each.column(F0_COLUMN) for each in segments):
        segments = _measured(cuts, segments)
    segments, targets = _targets(segments, options)
    held_out = {name: column_of(segments, name, "--disjoint") for name in comma_list(options.disjoint)}
    if options.kind == "classes" and options.target in held_out:
        raise LabelError(f"--disjoint {options.target} holds out what is to be told; no probe knows an unseen class.")
    classes = targets.tolist() if options.kind == "classes" else None
    parts = {
        name: draw_parts(values, options.folds, options.seed, column=name, classes=classes)
        for name, values in held_out.items()
    }
    groups = column_of(segments, options.group, "intervals (--group)")
    cells = list(cells_of(parts, options.folds))
    _check_known(targets, cells)
    names = [f"{each.recording} {each.start_s:g} s" for each in segments]
    return AskedSegments(cuts, segments, targets, cells, clusters_of(groups, len(groups), options.group, names), groups)


def _measured(cuts: CutSet, segments: Sequence[Segment]) -> list[Segment]:
    found = with_f0(cuts, segments)
    if not found:
        raise LabelError("No segment is voiced for half of its time, so that none has an F0; name another --target.")
    if len(found) < len(segments):
        _log.warning(
            "%d of %d segments are voiced for less than half of their time, have no F0 and are left out.",
            len(segments) - len(found), len(segments),
        )  # fmt: skip
    return found


def _targets(segments: list[Segment], options: SegmentProbeOptions) -> tuple[list[Segment], Targets]:
    """The segments that count, and their targets."""
    said = column_of(segments, options.target, "--target")
    if options.kind == "classes":
        counts = Counter(said)
        kept = [place for place, label in enumerate(said) if counts[label] >= options.least_items]
        rare = [label for label, count in counts.items() if count < options.least_items]
        if rare:
            _log.warning(
                "%d classes of fewer than %d segments are left out, %s for instance.",
                len(rare), options.least_items, rare[0],
            )  # fmt: skip
        if len(counts) - len(rare) < 2:
            raise LabelError(
                f"{len(counts) - len(rare)} class(es) of {options.target!r} have {options.least_items} segments or "
                f"more, and two are the least to tell apart; check --target, --ignore and --least-items."
            )
    else:
        kept = list(range(len(said)))
    if len(kept) > options.most_items:
        _log.warning("%d of %d segments are drawn (--most-items).", options.most_items, len(kept))
        drawn = np.random.default_rng(options.seed).permutation(len(kept))[: options.most_items]
        kept = [kept[place] for place in sorted(drawn.tolist())]
    chosen, values = [segments[place] for place in kept], [said[place] for place in kept]
    return chosen, np.array(values) if options.kind == "classes" else _numbers(chosen, values, options.target)


def _numbers(segments: Sequence[Segment], said: Sequence[str], name: str) -> Targets:
    found = []
    for each, text in zip(segments, said, strict=True):
        try:
            found.append(float(text))
        except ValueError:
            found.append(math.nan)
        if not math.isfinite(found[-1]):
            raise LabelError(
                f"The segment {each.label!r} at {each.start_s:g} s of {each.recording} has {name}={text!r}, which is "
                f"no number; correct it, or take --kind classes."
            )
    if len(set(found)) < 2:
        raise LabelError(f"All {len(found)} segments have {name}={found[0]:g}, so that nothing is to be told.")
    return np.array(found)


def _check_known(targets: Targets, cells: Sequence[HeldOut]) -> None:
    """Say how many test segments are of a class that their probe has never seen."""
    if targets.dtype.kind == "f":
        return
    for cell in cells:
        if len(set(targets[cell.fit].tolist())) < 2:
            raise LabelError(
                "A probe would be fitted to segments of one class alone, as the others are of those who are held out; "
                "hold another column out by --disjoint, or set --folds otherwise."
            )
    unknown = sum(len(set(targets[cell.test].tolist()) - set(targets[cell.train].tolist())) > 0 for cell in cells)
    lost = sum(int((~np.isin(targets[cell.test], targets[cell.train])).sum()) for cell in cells)
    if lost:
        _log.warning(
            "%d test segments in %d of %d folds have a class that those who are not held out never say; they count as "
            "wrong.", lost, unknown, len(cells),
        )  # fmt: skip
