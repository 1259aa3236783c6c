"""Factors of an encoder's layer, fitted on recordings in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from audiossl.core.config import as_dict
from audiossl.core.errors import ConfigError, ManifestError, TrainingError
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.factors.config import FactorsOptions
from audiossl.features.factors.fitted import Factors, FactorsCard
from audiossl.features.factors.statistics import UtteranceStatistics
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.fitting import fit_units, one_layer
from audiossl.features.units.quantizer import Units
from audiossl.features.units.states import layer_states
from audiossl.nn.factor_fitting import FactorConfig, FittedFactors, fit_factors
from audiossl.nn.factors import check_rank

_log = logging.getLogger(__name__)


def fit_factor_analysis(
    name: str,
    manifests: Sequence[str | Path],
    options: FactorsOptions | None = None,
    *,
    upstream_options: Mapping[str, Any] | None = None,
    cache: CacheConfig | None = None,
    command: str = "",
) -> Factors:
    """Fit factors of the recordings of an encoder's layer.

    name: of the encoder, as `load_upstream` takes it.
    manifests: of the recordings. No labels are read.
    options: which layer and units, how many factors, and how they are found.
    upstream_options: the encoder's own.
    cache: where hidden states are kept, so that the encoder runs once. None for nowhere.
    command: that asked for it, for the card.
    Raises ConfigError for a layer that is not there or a rank that is too large, CheckpointError for units of another
    encoder, TrainingError for states that are not finite, ManifestError, AudioError.

        factors = fit_factor_analysis("hubert_base", ["train.jsonl.gz"], FactorsOptions(layer="6", rank=64))
        factors.save(Path("factors"))
    """
    options, given = options or FactorsOptions(), dict(upstream_options or {})
    upstream = load_upstream(name, **given)
    layer = options.layer or ("" if options.units else "last")
    if options.units:
        units = Units.load(Path(options.units))
        units.check_encoder(upstream, f"The units of {options.units}")
        if layer and one_layer(layer, upstream.num_layers) != units.card.layer:
            raise ConfigError(f"--layer {layer}: the units of {options.units} are of layer {units.card.layer}.")
    else:
        check_rank(options.rank, options.clusters, upstream.widths[one_layer(layer, upstream.num_layers)])
        asked = UnitsOptions(layer=layer, clusters=options.clusters, seed=options.seed)
        units = fit_units(name, manifests, asked, upstream_options=given, cache=cache, command=command)
    with UtteranceStatistics(units.centres) as statistics:
        _gather(statistics, upstream, units, manifests, cache)
        config = FactorConfig(
            rank=options.rank,
            iterations=options.iterations,
            minimum_divergence=options.minimum_divergence,
            floor=options.floor,
            seed=options.seed,
        )
        found = fit_factors(units.centres, statistics.totals, statistics.read, config)
        return _named(units, found, statistics, options, manifests, command)


def _gather(
    statistics: UtteranceStatistics,
    upstream: Upstream,
    units: Units,
    manifests: Sequence[str | Path],
    cache: CacheConfig | None,
) -> None:
    """Read the states of all rows once. Raises TrainingError, ManifestError."""
    from lhotse import CutSet

    cuts = CutSet.from_cuts(chain(*map(read_manifest, manifests)))
    for cut, states in layer_states(upstream, cuts, units.card.layer, cache=cache):
        if not bool(states.isfinite().all()):
            raise TrainingError(
                f"Hidden states of the row {cut.id!r} are not finite, so no factors can be fitted; drop the row, or "
                f"look at its sound with `audiossl data validate`."
            )
        statistics.add(states)
    if not len(statistics):
        raise ManifestError("The manifests have no rows to fit factors on; name others.")


def _named(
    units: Units,
    found: FittedFactors,
    statistics: UtteranceStatistics,
    options: FactorsOptions,
    manifests: Sequence[str | Path],
    command: str,
) -> Factors:
    """What was fitted, with its card. Clusters without frames are said."""
    counts = statistics.totals.counts
    empty = (counts == 0).nonzero()[:, 0].tolist()
    if empty:
        _log.warning(
            "%d of %d clusters have no frame in these recordings, for instance cluster %d: they say nothing of "
            "factors. Fit units on these recordings, or fewer of them.",
            len(empty),
            len(counts),
            empty[0],
        )
    card = FactorsCard(
        units=units.card.fingerprint,
        layer=units.card.layer,
        clusters=len(units),
        width=units.card.width,
        rank=options.rank,
        log_likelihoods=[round(value, 6) for value in found.log_likelihoods],
        empty_clusters=empty,
        num_recordings=len(statistics),
        num_frames=int(counts.sum()),
        settings=as_dict(options),
        manifests=[str(path) for path in manifests],
        command=command,
    )
    return Factors(units, found.parameters, card)
