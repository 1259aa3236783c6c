"""One layer's hidden states of rows, one by one: from the cache where that is faster, else from the encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from audiossl.encoders.upstream import Upstream
from audiossl.features.states import row_states

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def layer_states(upstream: Upstream, cuts: CutSet, layer: int, **how: Any) -> Iterator[tuple[Cut, Tensor]]:
    """Each row with its hidden states (T, D), the longest of many first.

    upstream: the frozen encoder.
    cuts: the rows.
    layer: the number of the hidden state.
    how: what else `row_states` takes.
    Raises ManifestError, AudioError.
    """
    for cut, states in row_states(upstream, cuts, [layer], **how):
        yield cut, states[layer]
