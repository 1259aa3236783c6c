"""How good the two sides of a trial are: what a calibration may know beside the score (quality measure functions).

A measure belongs to a side. A trial has the smaller and the larger of both, so that its order does not matter. Of a
model of several recordings, durations add up and the rest is a mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import AudioError
from audiossl.data.reading import read_audio
from audiossl.metrics.clusters import Floats

_FRAME_S = 0.02
_MOST_DB, _LEAST_POWER = 60.0, 1e-10


def snr_db(wav: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Signal over noise of a recording (S,), as its loud frames over its quiet ones, from 0 to 60 dB.

    The noise is the 10th percentile of the power of frames of 20 ms, the signal what the 90th has beyond it. It is a
    coarse estimate, which an amount of silence moves.
    """
    size = max(1, round(_FRAME_S * sample_rate_hz))
    whole = len(wav) // size * size
    frames = wav[:whole].reshape(-1, size) if whole else wav[None]
    quiet, loud = np.quantile((frames.astype(np.float64) ** 2).mean(axis=1), [0.1, 0.9])
    noise = max(float(quiet), _LEAST_POWER)
    return float(np.clip(10 * np.log10(max(float(loud) - noise, noise) / noise), 0.0, _MOST_DB))


def snr_of(row: Mapping[str, Any]) -> float:
    """`snr_db` of the recording that a prediction says it is of. Raises AudioError where it says no file."""
    place = row["audio"]
    if place["path"] is None:
        raise AudioError(f"{row['id']!r} is no file, so its noise cannot be measured; leave snr out of the measures.")
    wav = read_audio(place["path"], start_s=place["start_s"], duration_s=place["duration_s"])
    return snr_db(wav, 16000)


def of_models(values: Floats, members: Sequence[Sequence[int]], *, total: bool = False) -> Floats:
    """(M,) of models, from values (N,) of recordings: their mean, or their sum."""
    return np.array([values[list(places)].sum() if total else values[list(places)].mean() for places in members])


def both_ends(enrol: Floats, test: Floats) -> Floats:
    """(N, 2): the smaller and the larger of the two sides of each of N trials."""
    return np.stack([np.minimum(enrol, test), np.maximum(enrol, test)], axis=1)
