"""The curves of one encoder: each measure of each view over the layers, with what it is without each group."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiossl.analysis.layerwise.clusters import information
from audiossl.analysis.layerwise.crossing import cells_of, crossed, folds_of
from audiossl.analysis.layerwise.gathering import Gathered, Material
from audiossl.analysis.layerwise.suitability import suitability
from audiossl.analysis.layerwise.views import LAYERS, ViewItems
from audiossl.core.errors import ConfigError
from audiossl.core.files import read_json, write_json
from audiossl.core.terminal import progress
from audiossl.metrics.effective_rank import effective_rank
from audiossl.metrics.jackknife import Estimate
from audiossl.metrics.moment_sums import OwnSums

_log = logging.getLogger(__name__)


class LayerPoint(NamedTuple):
    """A measure of a layer.

    layer: its number.
    view: what it is compared with.
    measure: pwcca, svcca, cka, cka_biased, rsa, pnmi, logme, ped, tmi or rank.
    estimate: the figure, and without each group.
    num_items: frames or segments.
    held_out: what no fold of the cross-validation shares with another. '' where nothing is fitted.
    remark: what a reader must know.
    ridges: that the folds chose, of pwcca.
    """

    layer: int
    view: str
    measure: str
    estimate: Estimate
    num_items: int
    held_out: str
    remark: str = ""
    ridges: tuple[float, ...] = ()


def curves_of(gathered: Gathered, title: str) -> list[LayerPoint]:
    """All measures of all layers, one layer in memory at a time.

    gathered: what a pass has kept.
    title: of the progress bar.
    Raises ConfigError for fewer than three groups, LabelError for labels that cannot be held out.
    """
    material = gathered.material
    jobs: list[tuple[str, ViewItems | None]] = [(name, None) for name in material.frame_views]
    jobs += [(items.name, items) for items in material.items]
    every = [(name, items, layer) for name, items in jobs for layer in gathered.layers]
    found: list[LayerPoint] = []
    for name, items, layer in progress(every, title, total=len(every)):
        found += _of_frames(gathered, name, layer) if items is None else _of_items(gathered, items, layer)
    return found


def check_groups(material: Material) -> None:
    """Raise ConfigError where there are too few groups to hold one out."""
    if material.clusters.num < 3:
        raise ConfigError(
            f"--group {material.options.group}: {material.clusters.num} {material.clusters.kind}(s) are too few to fit "
            f"on some, choose on others and test on the rest; give recordings of three at least."
        )


def _of_frames(gathered: Gathered, view: str, layer: int) -> list[LayerPoint]:
    """All measures of frames. Each group is in one fold, the largest are dealt out first."""
    material, options = gathered.material, gathered.material.options
    num = material.clusters.num
    sizes = material.clusters.sums(np.array([cut.duration for cut in material.cuts]))
    folds = np.empty(num, dtype=np.int64)
    folds[np.argsort(-sizes, kind="stable")] = np.arange(num) % min(options.folds, num)
    cells = gathered.frame_cells(view, layer, folds)
    found = crossed(cells, num, options.all_ridges)
    count = round(sum(cell.sums.num for cell in cells))
    points = [
        LayerPoint(layer, view, name, estimate, count, material.clusters.kind, "", found.of(name))
        for name, estimate in found.estimates.items()
    ]
    if view == LAYERS:
        own = [cell.sums.x for cell in cells]
        points.append(LayerPoint(layer, view, "rank", _rank(own), count, ""))
    return points


def _rank(groups: Sequence[OwnSums]) -> Estimate:
    """The effective rank as a share of the width, and without each group."""
    whole, width = reduce(OwnSums.plus, groups), len(groups[0].first)
    without = [effective_rank(whole.plus(group, -1.0)) / width for group in groups]
    return Estimate(effective_rank(whole) / width, np.array(without))


def _of_items(gathered: Gathered, items: ViewItems, layer: int) -> list[LayerPoint]:
    """All measures of segments or recordings."""
    material, options = gathered.material, gathered.material.options
    groups, rows = material.groups_of(items), [each.recording for each in items.segments]
    folding = folds_of(items.values, groups, rows, options.folds, material.clusters.kind)
    vectors = gathered.vectors(items, layer)
    found = crossed(cells_of(vectors, items.values, folding.of, groups), material.clusters.num, options.all_ridges)
    remarks = [items.remark] if items.remark else []
    if num_short := gathered.num_short(items):
        remarks.append(f"{num_short} of {len(vectors)} segments are shorter than a frame and have the nearest one")
    if len(vectors) * (options.folds - 2) / options.folds <= vectors.shape[1]:
        remarks.append(_FEW.format(num=len(vectors), width=vectors.shape[1]))
    points = [
        LayerPoint(
            layer, items.name, name, estimate, len(vectors), folding.held_out, "; ".join(remarks), found.of(name)
        )
        for name, estimate in found.estimates.items()
    ]
    if items.labels is not None and options.clusters:
        told = information(vectors, items.labels, groups, folding.of, options.clusters, range(options.seeds))
        points.append(LayerPoint(layer, items.name, "pnmi", told, len(vectors), folding.held_out, items.remark))
    for name, estimate in suitability(vectors, items, groups, material.clusters.num, options.all_scores).items():
        points.append(LayerPoint(layer, items.name, name, estimate, len(vectors), "", items.remark))
    return points


_FEW = "{num} items in {width} dimensions: of so few, directions are the ridge's choice"


def write_points(points: Sequence[LayerPoint], path: Path, facts: Mapping[str, Any]) -> None:
    """Keep the points of an encoder, and what it is."""
    rows = [
        {**each._asdict(), "estimate": {"value": each.estimate.value, "without": each.estimate.without.tolist()}}
        for each in points
    ]
    write_json(path, {**facts, "points": rows})


def read_points(path: Path) -> list[LayerPoint]:
    """What `write_points` wrote."""
    rows = read_json(path)["points"]
    return [
        LayerPoint(
            **{
                **row,
                "ridges": tuple(row["ridges"]),
                "estimate": Estimate(row["estimate"]["value"], np.array(row["estimate"]["without"])),
            }
        )
        for row in rows
    ]
