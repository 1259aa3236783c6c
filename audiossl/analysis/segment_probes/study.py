"""From encoders, manifests and an alignment to segment_probes.json, .md and .png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiossl.analysis.callers import AskedEncoder, asked_encoder
from audiossl.analysis.segment_probes.asked import AskedSegments, ask
from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.analysis.segment_probes.fitting import PROBES, Targets, told_by
from audiossl.analysis.segment_probes.scoring import Curve, JudgedCurve, apart, difference, judge, layer_zero
from audiossl.analysis.segment_probes.voices import resynthesised
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError
from audiossl.core.outputs import check_out
from audiossl.core.terminal import progress
from audiossl.data.segments import column_of
from audiossl.encoders.kept import load_identified
from audiossl.encoders.layers import parse_layers
from audiossl.features.config import CacheConfig
from audiossl.features.segment_states import segment_states
from audiossl.metrics.jackknife import Difference

if TYPE_CHECKING:
    from lhotse import CutSet

RANDOM_WEIGHTS, RANDOM_LABELS = "random weights", "random labels"
VOCODED, FLAT = "vocoded", "F0 flat"


class SegmentStudy(NamedTuple):
    """What probing segments gives.

    asked: of which segments.
    curves: the encoders, each with its controls behind it.
    groups: for each encoder and column of `by`, what `apart` gives.
    differences: of the layer that dev chose, by what is compared.
    """

    asked: AskedSegments
    curves: list[JudgedCurve]
    groups: dict[str, dict[str, Any]]
    differences: dict[str, Difference]


def study_segments(
    encoders: Sequence[str],
    manifests: Sequence[Path],
    out: Path,
    options: SegmentProbeOptions,
    cache: CacheConfig | None = None,
) -> SegmentStudy:
    """Probe the segments of all encoders and their controls.

    encoders: as a user writes them, NAME[key=value] for options.
    manifests: of the rows, all of which are in the cross-validation.
    out: a folder, for resynthesised recordings.
    options: what is asked of which layers.
    cache: where hidden states are kept. None for nowhere.
    Raises ConfigError for an encoder that is asked for twice, and what reading and encoding raise.
    """
    names = [asked_encoder(text) for text in encoders]
    written = [each.written for each in names]
    if twice := next((name for name in written if written.count(name) > 1), ""):
        raise ConfigError(f"{twice} is asked for twice; name each encoder once.")
    check_out(out, "folder", [*manifests])
    asked = ask(manifests, options)
    sounds = _controls_of_sound(asked, out, options)
    curves: list[JudgedCurve] = []
    groups: dict[str, dict[str, Any]] = {}
    differences: dict[str, Difference] = {}
    for each in names:
        found = _encoder(each, asked, sounds, options, cache)
        own = found[0]
        curves += found
        groups[each.written] = {
            column: apart(own, column_of(asked.segments, column, "--by"), asked.groups, options.group, column)
            for column in comma_list(options.by)
        }
        differences |= _differences(found, asked, options.score)
    for other in [each for each in curves if not each.curve.what][1:]:
        title = f"{other.curve.title} - {curves[0].curve.title}"
        differences[title] = difference(other, curves[0], asked.clusters, options.score)
    return SegmentStudy(asked, curves, groups, differences)


def _controls_of_sound(asked: AskedSegments, out: Path, options: SegmentProbeOptions) -> dict[str, CutSet]:
    """The same rows as they are resynthesised."""
    if "flat_f0" not in comma_list(options.controls):
        return {}
    return {
        what: resynthesised(asked.cuts, out / what.replace(" ", "_"), flat=what == FLAT) for what in (VOCODED, FLAT)
    }


def _encoder(
    named: AskedEncoder,
    asked: AskedSegments,
    sounds: dict[str, CutSet],
    options: SegmentProbeOptions,
    cache: CacheConfig | None,
) -> list[JudgedCurve]:
    """An encoder, then its controls."""
    plain = named.options
    found = [_curve(named, "", plain, asked, asked.cuts, options, cache)]
    if "random_labels" in comma_list(options.controls):
        dealt = np.random.default_rng(options.seed).permutation(asked.targets)
        found.append(_curve(named, RANDOM_LABELS, plain, asked, asked.cuts, options, cache, dealt))
    if options.random and plain.get("weights") != "random" and _is_learnt(named):
        found.append(_curve(named, RANDOM_WEIGHTS, {**plain, "weights": "random"}, asked, asked.cuts, options, cache))
    found += [_curve(named, what, plain, asked, cuts, options, cache) for what, cuts in sounds.items()]
    return found


def _is_learnt(named: AskedEncoder) -> bool:
    return next(load_identified(named.name, named.options).upstream.parameters(), None) is not None


def _curve(
    named: AskedEncoder,
    what: str,
    own: dict[str, Any],
    asked: AskedSegments,
    cuts: CutSet,
    options: SegmentProbeOptions,
    cache: CacheConfig | None,
    targets: Targets | None = None,
) -> JudgedCurve:
    """The figures of all layers of an encoder, or of one of its controls."""
    upstream = load_identified(named.name, own).upstream
    layers = sorted({0, *parse_layers(options.layers, upstream.num_layers)})
    how: Any = {"pooling": options.pool, "cache": cache, "title": f"Encoding, {what or named.written}"}
    states = segment_states(upstream, cuts, asked.segments, layers, **how)
    wanted = asked.targets if targets is None else targets
    told = {
        layer: told_by(states.layers[layer], wanted, asked.cells, PROBES[options.probe], options.score)
        for layer in progress(layers, f"Probing, {what or named.written}", total=len(layers))
    }
    return judge(Curve(named.written, what, wanted, told), asked.cells, asked.clusters)


def _differences(found: Sequence[JudgedCurve], asked: AskedSegments, metric: str) -> dict[str, Difference]:
    """An encoder against its layer 0 and its controls, and flat F0 against the same vocoder."""
    own, *controls = found
    by_name = {each.curve.what: each for each in controls if each.curve.what != RANDOM_LABELS}
    pairs = {f"{own.curve.title} - its layer 0": (own, layer_zero(own))} if len(own.layers) > 1 else {}
    pairs |= {f"{own.curve.title} - {what}": (own, each) for what, each in by_name.items() if what != FLAT}
    if FLAT in by_name:
        pairs[f"{own.curve.title}: {FLAT} - {VOCODED}"] = (by_name[FLAT], by_name[VOCODED])
    return {name: difference(first, second, asked.clusters, metric) for name, (first, second) in pairs.items()}
