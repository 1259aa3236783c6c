"""Boundaries of words or syllables by many encoders without training: dev chooses, test is looked at once.

Of each encoder and method dev chooses the setting, the layer and a shift of all boundaries, by the R-value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiossl.analysis.boundaries.config import BoundaryOptions
from audiossl.analysis.boundaries.framing import boundaries_s, framed, segments_s, speech_of, stretches_of
from audiossl.analysis.boundaries.settings import CutSetting, grid
from audiossl.analysis.callers import AskedEncoder, asked_encoder
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.outputs import check_out
from audiossl.core.terminal import progress
from audiossl.core.types import Metric
from audiossl.data.manifests import read_manifest
from audiossl.data.segments import by_recording, column_of, read_segments
from audiossl.encoders.kept import Identified, load_identified
from audiossl.encoders.layers import parse_layers
from audiossl.features.config import CacheConfig
from audiossl.features.states import row_states
from audiossl.metrics.boundaries import boundary_counts, boundary_estimates, boundary_figures, boundary_metrics
from audiossl.metrics.clusters import Clusters, Floats, Ints, clusters_of
from audiossl.metrics.jackknife import Difference, difference_of

if TYPE_CHECKING:
    from lhotse import CutSet

SHIFTS_S = tuple(np.round(np.arange(-0.05, 0.05, 0.005), 4).tolist())
RANDOM_WEIGHTS = "random weights"


class Truth(NamedTuple):
    """Rows whose boundaries are known.

    cuts: the rows, sorted by their ids.
    boundaries: true ones in seconds, by row.
    speech: by row, see `speech_of`.
    clusters: what intervals are over.
    """

    cuts: CutSet
    boundaries: dict[str, Floats]
    speech: dict[str, list[tuple[float, float]]]
    clusters: Clusters


class Found(NamedTuple):
    """What a method finds in a layer of an encoder.

    encoder: as it was asked for.
    what: '' for the encoder itself, else that its weights are random.
    layer: of it.
    setting: that dev chose for the layer.
    shift_s: by which all boundaries are moved, likewise.
    dev: the R-value on dev.
    counts: (N, 3) the `BoundaryCounts` of the test rows.
    test: metrics with intervals.
    """

    encoder: str
    what: str
    layer: int
    setting: CutSetting
    shift_s: float
    dev: float
    counts: Ints
    test: dict[str, Metric]

    @property
    def title(self) -> str:
        return f"{self.encoder}, {self.what}" if self.what else self.encoder


class BoundaryStudy(NamedTuple):
    """What was found.

    results: of all encoders, methods and layers.
    chosen: of each encoder and method, on the layer that dev chose.
    differences: in the R-value, by what is compared.
    test: the rows that are tested.
    fingerprints: of the encoders, by name.
    """

    results: list[Found]
    chosen: list[Found]
    differences: dict[str, Difference]
    test: Truth
    fingerprints: dict[str, str]

    @property
    def best(self) -> Found:
        """That of an encoder as it is, and of a method that hears something, which is best on dev."""
        own = [each for each in self.chosen if not each.what]
        return max([each for each in own if each.setting.method != "uniform"] or own, key=lambda each: each.dev)


def study_boundaries(
    encoders: Sequence[str],
    dev: Path,
    test: Path,
    out: Path,
    options: BoundaryOptions,
    cache: CacheConfig | None = None,
) -> BoundaryStudy:
    """Choose on dev and test.

    encoders: as a user writes them, NAME[key=value] for options.
    dev, test: manifests.
    out: the folder that is written later.
    options: what is asked.
    cache: where hidden states are kept. None for nowhere.
    Raises ConfigError for an encoder that is asked for twice, LabelError for rows without a boundary, and what reading
    and encoding raise.
    """
    names = [asked_encoder(text) for text in encoders]
    written = [each.written for each in names]
    if twice := next((name for name in written if written.count(name) > 1), ""):
        raise ConfigError(f"{twice} is asked for twice; name each encoder once.")
    check_out(out, "folder", [dev, test])
    known, tested = (truth_of(path, options) for path in (dev, test))
    results: list[Found] = []
    fingerprints = {}
    for each in names:
        encoder = load_identified(each.name, each.options)
        fingerprints[each.written] = encoder.fingerprint
        results += _encoder(each, "", encoder, known, tested, options, cache)
        if options.random and each.options.get("weights") != "random" and _is_learnt(encoder):
            drawn = load_identified(each.name, {**each.options, "weights": "random"})
            results += _encoder(each, RANDOM_WEIGHTS, drawn, known, tested, options, cache)
    chosen = _chosen(results)
    return BoundaryStudy(results, chosen, _differences(chosen, tested.clusters), tested, fingerprints)


def truth_of(manifest: Path, options: BoundaryOptions) -> Truth:
    """Rows and their true boundaries. Raises LabelError for rows that have none."""
    from lhotse import CutSet

    cuts = sorted(read_manifest(manifest), key=lambda cut: str(cut.id))
    ignored = comma_list(options.ignore)
    segments = read_segments(cuts, options.alignment, field=options.tier, ignored=ignored, where=str(manifest))
    grouped = dict(by_recording(segments))
    lasts = {str(cut.id): float(cut.duration) for cut in cuts}
    edges = {
        name: boundaries_s([(each.start_s, each.end_s) for each in grouped.get(name, [])], lasts_s, options.tolerance_s)
        for name, lasts_s in lasts.items()
    }
    if not any(len(each) for each in edges.values()):
        raise LabelError(f"{manifest} has no boundary within a row: each has one segment; align words or syllables.")
    own = {name: column_of(rows[:1], options.group, "intervals (--group)")[0] for name, rows in grouped.items()}
    clusters = clusters_of([own.get(name) for name in lasts], len(lasts), options.group, list(lasts))
    heard = {str(cut.id): speech_of(cut) for cut in progress(cuts, "Looking for pauses", total=len(cuts))}
    return Truth(CutSet.from_cuts(cuts), edges, heard, clusters)


def segments_by(
    encoder: Identified,
    cuts: CutSet,
    speech: Mapping[str, list[tuple[float, float]]],
    wanted: Mapping[int, Sequence[CutSetting]],
    cache: CacheConfig | None,
    title: str = "Encoding",
) -> Iterator[tuple[Any, int, dict[CutSetting, list[tuple[float, float]]]]]:
    """Each row and layer with the segments of each setting, in seconds, in one pass and bounded memory.

    encoder: the frozen encoder.
    cuts: the rows.
    speech: as `speech_of` gives it, by row.
    wanted: settings by layer.
    cache: where hidden states are kept. None for nowhere.
    title: of the progress bar.
    """
    for cut, states in row_states(encoder.upstream, cuts, sorted(wanted), cache=cache, title=title):
        for layer, state in states.items():
            frames = framed(state, encoder.upstream)
            stretches = stretches_of(frames, speech[str(cut.id)])
            yield cut, layer, segments_s(frames, stretches, wanted[layer], float(cut.duration))


def _is_learnt(encoder: Identified) -> bool:
    return next(encoder.upstream.parameters(), None) is not None


def _encoder(
    named: AskedEncoder,
    what: str,
    encoder: Identified,
    dev: Truth,
    test: Truth,
    options: BoundaryOptions,
    cache: CacheConfig | None,
) -> list[Found]:
    """What all methods find in all layers of an encoder."""
    layers = parse_layers(options.layers, encoder.upstream.num_layers)
    title = f"{named.written}, {what}" if what else named.written
    every = [setting for method in options.asked for setting in grid(method)]
    scored = _scored(encoder, dev, dict.fromkeys(layers, every), [0.0], options, cache, f"{title}: dev")
    best = {layer: _best_of_methods(scored[layer], options.asked) for layer in layers}
    shifted = _scored(encoder, dev, best, SHIFTS_S, options, cache, f"{title}: shifts")
    tested = _scored(encoder, test, best, SHIFTS_S, options, cache, f"{title}: test")
    found = []
    for layer, settings in best.items():
        for setting in settings:
            values = {shift: _r_value(shifted[layer][setting, shift]) for shift in SHIFTS_S}
            shift = max(SHIFTS_S, key=lambda each: (values[each], -abs(each)))
            counts = tested[layer][setting, shift]
            metrics = boundary_metrics(counts, test.clusters)
            found.append(Found(named.written, what, layer, setting, shift, values[shift], counts, metrics))
    return found


_Counts = dict[tuple[CutSetting, float], Ints]


def _scored(
    encoder: Identified,
    truth: Truth,
    wanted: Mapping[int, Sequence[CutSetting]],
    shifts_s: Sequence[float],
    options: BoundaryOptions,
    cache: CacheConfig | None,
    title: str,
) -> dict[int, _Counts]:
    """(N, 3) counts of the rows, in their order, for each layer, setting and shift."""
    places = {name: place for place, name in enumerate(truth.boundaries)}
    made: dict[int, _Counts] = {
        layer: {(each, shift): np.zeros((len(places), 3), dtype=np.int64) for each in settings for shift in shifts_s}
        for layer, settings in wanted.items()
    }
    for cut, layer, found in segments_by(encoder, truth.cuts, truth.speech, wanted, cache, title):
        name, lasts_s = str(cut.id), float(cut.duration)
        for setting, segments in found.items():
            edges = boundaries_s(segments, lasts_s, options.tolerance_s)
            for shift in shifts_s:
                counts = boundary_counts(truth.boundaries[name], edges + shift, options.tolerance_s)
                made[layer][setting, shift][places[name]] = counts
    return made


def _best_of_methods(scored: _Counts, methods: Sequence[str]) -> list[CutSetting]:
    """Of each method the setting with the highest R-value, the first of equals."""
    values = {setting: _r_value(counts) for (setting, _), counts in scored.items()}
    return [max((each for each in values if each.method == name), key=values.__getitem__) for name in methods]


def _r_value(counts: Ints) -> float:
    return float(boundary_figures(counts.sum(axis=0, keepdims=True).astype(np.float64))["r_value"][0])


def _chosen(results: Sequence[Found]) -> list[Found]:
    best: dict[tuple[str, str], Found] = {}
    for each in results:
        key = (each.title, each.setting.method)
        if key not in best or each.dev > best[key].dev:
            best[key] = each
    return list(best.values())


def _differences(chosen: Sequence[Found], clusters: Clusters) -> dict[str, Difference]:
    """Each method against uniform boundaries and random weights, and against the first encoder."""
    by_name = {(each.encoder, each.what, each.setting.method): each for each in chosen}
    first, pairs = chosen[0].encoder, {}
    for each in chosen:
        method = each.setting.method
        if each.what or method == "uniform":
            continue
        others = {"uniform": (each.encoder, "", "uniform"), RANDOM_WEIGHTS: (each.encoder, RANDOM_WEIGHTS, method)}
        others |= {first: (first, "", method)} if each.encoder != first else {}
        for what, key in others.items():
            if key in by_name:
                pairs[f"{each.encoder}, {method} - {what}"] = (each, by_name[key])
    estimates = {
        name: [boundary_estimates(one.counts, clusters)["r_value"] for one in both] for name, both in pairs.items()
    }
    return {name: difference_of(ours, theirs, clusters) for name, (ours, theirs) in estimates.items()}
