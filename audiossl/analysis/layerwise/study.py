"""Layer-wise analysis of encoders, each beside random weights and, where it was tuned, what it was before.

    study_layers(["tera_mini"], [Path("dev.jsonl.gz")], "layers,mel,speakers", Path("analysis"))

Measures are those of Pasad, Chou and Livescu (2021, arXiv:2107.04734) and their kin, with intervals over speakers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiossl.analysis.callers import AskedEncoder
from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.curves import LayerPoint, check_groups, curves_of, read_points, write_points
from audiossl.analysis.layerwise.encoders import RANDOM, Studied, all_studied
from audiossl.analysis.layerwise.frame_sums import Frames
from audiossl.analysis.layerwise.gathering import Gathered, Material, gather, key_of
from audiossl.analysis.layerwise.grid import GRID_MEASURES, Grid, GridPlace, compare_all
from audiossl.analysis.layerwise.views import LAYERS, MEL, AskedView, parse_views, read_items
from audiossl.core.errors import ConfigError, LabelError, ManifestError
from audiossl.core.files import atomic_write, read_json
from audiossl.core.outputs import check_out
from audiossl.core.untrusted import file_names
from audiossl.data.fields import read_field
from audiossl.data.leaks import source_of
from audiossl.data.manifests import read_manifest
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.metrics.clusters import clusters_of
from audiossl.metrics.jackknife import Estimate

if TYPE_CHECKING:
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)
MOST_GROUPS = 10  # whose sums are kept apart: each takes the room of all covariances
_MOMENTS_EACH = 4  # of a group, which an unbiased estimate needs
_DONE, _MOMENTS = "points.json", "moments.npz"


class EncoderCurves(NamedTuple):
    """What one encoder gave.

    studied: which.
    fingerprint: of it.
    layers: numbers of those that were read.
    num_layers: how many it has.
    points: all measures of all layers.
    """

    studied: Studied
    fingerprint: str
    layers: list[int]
    num_layers: int
    points: list[LayerPoint]


class Study(NamedTuple):
    """All encoders, on the same recordings.

    material: what was analysed.
    encoders: in the order of the figures.
    grid: every layer with every other. None where nobody asked.
    """

    material: Material
    encoders: list[EncoderCurves]
    grid: Grid | None


def study_layers(
    encoders: Sequence[str | AskedEncoder],
    manifests: Sequence[Path],
    views: str,
    out: Path,
    options: AnalyseOptions | None = None,
    cache: CacheConfig | None = None,
) -> Study:
    """Analyse all encoders. What is finished, and what was gathered before an interruption, is not done again.

    encoders: as a user writes them, with options in brackets, or as they were understood.
    manifests: of the recordings.
    views: what layers are compared with, see `parse_views`.
    out: the folder, which keeps the points of each encoder.
    options: how.
    cache: where hidden states are read and kept. None for nowhere.
    Raises ConfigError, LabelError, ManifestError, and what loading encoders and reading sound raise.
    """
    options, asked = options or AnalyseOptions(), parse_views(views)
    studied = all_studied(encoders, random=options.random)
    check_out(out, "folder", [*(one.name for one in studied), *manifests])
    material = read_material(manifests, asked, options)
    mel = load_upstream("log_mel").eval() if MEL in material.frame_views else None
    stems = [path.stem for path in file_names([one.written for one in studied], ".folder")]
    made = [
        _curves(one, material, out / "encoders" / stem, mel, cache) for one, stem in zip(studied, stems, strict=True)
    ]
    pairs = [(each, out / "encoders" / stem) for each, stem in zip(made, stems, strict=True) if each is not None]
    grid = _grid(pairs, material) if options.moments else None
    found = [each if grid is None else _with_rsa(each, grid, material) for each, _ in pairs]
    return Study(material, found, grid)


def read_material(manifests: Sequence[Path], asked: list[AskedView], options: AnalyseOptions) -> Material:
    """The rows and all that is known of them. Raises ManifestError, LabelError, ConfigError."""
    from lhotse import CutSet

    rows = sorted(chain(*(read_manifest(path) for path in manifests)), key=lambda cut: str(cut.id))
    if twice := next((one.id for one, other in pairwise(rows) if one.id == other.id), None):
        raise ManifestError(f"--data has the row {twice} twice; name each manifest once.")
    groups = [_group_of(cut, options.group) for cut in rows]
    ids = [str(cut.id) for cut in rows]
    clusters = clusters_of(groups, len(rows), options.group, ids)
    if clusters.num > MOST_GROUPS:
        said = f"{clusters.num} {clusters.kind}s are put together at random in {MOST_GROUPS} groups"
        clusters = clusters._replace(remark="; ".join(filter(None, [said, clusters.remark]))).merged(MOST_GROUPS)
    items = [read_items(view, CutSet.from_cuts(rows), options) for view in asked if view.kind != "frames"]
    material = Material(rows, clusters, asked, items, options)
    check_groups(material)
    if 0 < options.moments < _MOMENTS_EACH * clusters.num:
        raise ConfigError(
            f"--moments {options.moments}: take {_MOMENTS_EACH} for each of {clusters.num} {clusters.kind}s at least, "
            f"or 0."
        )
    return material


def _group_of(cut: Cut, name: str) -> str:
    found = source_of(cut) if name == "recording" else read_field(cut, name)
    if found is None:
        raise LabelError(
            f"Row {cut.id} has nothing in the field {name!r}, which intervals are over; fill it in, or take --group "
            f"recording."
        )
    return found


def _curves(
    one: Studied, material: Material, folder: Path, mel: Upstream | None, cache: CacheConfig | None
) -> EncoderCurves | None:
    """The points of an encoder, read where they are there already. None for random weights of one that has none."""
    encoder = one.load()
    if one.role == RANDOM and next(encoder.upstream.parameters(), None) is None:
        return None
    _check_frames(encoder.upstream, material)
    layers = parse_layers(material.options.layers, encoder.upstream.num_layers)
    key, done = key_of(encoder, layers, material), folder / _DONE
    if not (done.is_file() and read_json(done).get("key") == key and (folder / _MOMENTS).is_file()):
        gathered = gather(encoder, layers, material, folder, mel=mel, cache=cache, title=f"Encoding, {one.written}")
        points = curves_of(gathered, f"Comparing, {one.written}")
        _keep_moments(gathered, folder / _MOMENTS)
        write_points(points, done, {"key": key, "encoder": one.written, "fingerprint": encoder.fingerprint})
        gathered.remove()
    return EncoderCurves(one, encoder.fingerprint, layers, encoder.upstream.num_layers, read_points(done))


def _check_frames(upstream: Upstream, material: Material) -> None:
    """Raise ConfigError where an encoder that gives a recording one frame is asked what is in its frames."""
    of_frames = [view.name for view in material.views if view.kind != "column"]
    if upstream.one_frame and (of_frames or material.options.moments):
        what = f"--with {of_frames[0]}" if of_frames else "--moments"
        raise ConfigError(
            f"{what}: {upstream.display_name} gives a recording one frame; compare it with columns alone, and with "
            f"--moments 0."
        )


def _keep_moments(gathered: Gathered, path: Path) -> None:
    names = [*map(str, gathered.layers), *([MEL] if MEL in gathered.material.frame_views else [])]
    arrays = {name: gathered.at_moments(name) for name in names}
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _grid(pairs: Sequence[tuple[EncoderCurves, Path]], material: Material) -> Grid:
    """All layers of all encoders, and mel frames once."""
    frames: dict[GridPlace, Frames] = {}
    for each, folder in pairs:
        with np.load(folder / _MOMENTS) as arrays:
            if MEL in arrays:
                frames.setdefault(GridPlace(MEL, 0), arrays[MEL])
            frames |= {GridPlace(each.studied.written, layer): arrays[str(layer)] for layer in each.layers}
    return compare_all(frames, material.groups_of_moments, GRID_MEASURES)


def _with_rsa(each: EncoderCurves, grid: Grid, material: Material) -> EncoderCurves:
    """With what the grid says of each layer, its first layer and mel frames."""
    number = {place: row for row, place in enumerate(grid.places)}
    name, points = each.studied.written, list(each.points)
    against = {LAYERS: GridPlace(name, each.layers[0]), MEL: GridPlace(MEL, 0)}
    for view in material.frame_views:
        for layer in each.layers:
            row, column = number[GridPlace(name, layer)], number[against[view]]
            value = Estimate(float(grid.values["rsa"][row, column]), grid.without["rsa"][:, row, column])
            points.append(LayerPoint(layer, view, "rsa", value, grid.num_moments, ""))
    return each._replace(points=points)
