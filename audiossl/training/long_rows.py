"""All frames of a long row, for heads that need more of it than the mean over time."""

from __future__ import annotations

from collections.abc import Sequence

from lhotse.cut import Cut

from audiossl.core.errors import AudioError
from audiossl.core.types import Features
from audiossl.data.reading import place_of
from audiossl.encoders.long_states import long_states
from audiossl.encoders.upstream import Upstream

# What a head that reads every frame of a recording may be given at once: an hour at 100 frames a second, and some more.
MOST_FRAMES = 400_000
MOST_BYTES = 2_000_000_000


def all_frames(upstream: Upstream, cut: Cut, layers: Sequence[int]) -> Features:
    """The hidden states of these layers, encoded chunk by chunk. Raises AudioError where there are too many of them."""
    num_frames = upstream.num_frames(round(cut.duration * upstream.sample_rate_hz))
    held = 4 * num_frames * sum(upstream.widths[layer] for layer in layers)
    if num_frames > MOST_FRAMES or held > MOST_BYTES:
        raise AudioError(
            f"{place_of(cut)} lasts {cut.duration / 60:.0f} minutes, of which this head needs all {num_frames} frames "
            f"at once ({held / 1e9:.1f} GB); cut it into parts (the columns start and end of a table), or train a head "
            f"that needs no more than the mean over time."
        )
    return long_states(upstream, cut, layers)
