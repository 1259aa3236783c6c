"""Each row of a manifest as factors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from audiossl.encoders.config import EmbedOptions
from audiossl.encoders.embedding import open_writer
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.factors.fitted import Factors
from audiossl.features.units.states import layer_states

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def apply_factors(
    factors: Factors, cuts: CutSet, *, upstream: Upstream | None = None, cache: CacheConfig | None = None
) -> Iterator[tuple[Cut, Tensor]]:
    """Each row with its factors (R,), in the order in which rows are encoded.

    factors: as `fit_factor_analysis` or `Factors.load` gives them.
    cuts: the rows.
    upstream: the encoder, where it is loaded already. Else it is loaded from where the units say.
    cache: where hidden states are kept. None for nowhere.
    Raises CheckpointError for another encoder than the one that they are of, ManifestError, AudioError.
    """
    if upstream is None:
        upstream = factors.units.load_encoder()
    factors.check_encoder(upstream)
    model = factors.model()
    for cut, states in layer_states(upstream, cuts, factors.card.layer, cache=cache, title="Encoding"):
        yield cut, factors.of_states(model, states.cpu())


def write_factors(
    factors: Factors, cuts: CutSet, out: str | Path, *, upstream: Upstream, cache: CacheConfig | None = None
) -> int:
    """Write one vector (R,) for each row, as `audiossl embed --pool mean` writes means. Returns how many.

    factors: as `fit_factor_analysis` or `Factors.load` gives them.
    cuts: the rows.
    out: a .csv or .parquet table, a .npz archive, a .zarr folder, or a folder for one .npz a row.
    upstream: the encoder.
    cache: where hidden states are kept. None for nowhere.
    Raises CheckpointError for another encoder than the one that they are of, ManifestError, AudioError, OutputError.
    """
    num_rows, one_row = 0, EmbedOptions(pool="mean")
    with open_writer(upstream, cuts, Path(out), one_row, [factors.card.layer]) as writer:
        for cut, vector in apply_factors(factors, cuts, upstream=upstream, cache=cache):
            writer.write(cut.id, [vector[None]])
            num_rows += 1
    return num_rows
