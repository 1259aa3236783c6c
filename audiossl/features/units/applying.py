"""Each row of a manifest as units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audiossl.data.unit_files import UnitRow
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.units.quantizer import Units
from audiossl.features.units.states import layer_states

if TYPE_CHECKING:
    from lhotse import CutSet


def apply_units(
    units: Units, cuts: CutSet, *, upstream: Upstream | None = None, cache: CacheConfig | None = None
) -> Iterator[UnitRow]:
    """The units of each frame of each row, in the order in which rows are encoded.

    units: as `fit_units` or `Units.load` gives them.
    cuts: the rows.
    upstream: the encoder, where it is loaded already. Else it is loaded from where the units say.
    cache: where hidden states are kept. None for nowhere.
    Raises CheckpointError for another encoder than the one that was clustered, ManifestError, AudioError.
    """
    if upstream is None:
        upstream = units.load_encoder()
    else:
        units.check_encoder(upstream)
    for cut, states in layer_states(upstream, cuts, units.card.layer, cache=cache, title="Encoding"):
        yield UnitRow(cut.id, units.of_states(states).cpu().numpy(), units.facts, float(getattr(cut, "start", 0.0)))
