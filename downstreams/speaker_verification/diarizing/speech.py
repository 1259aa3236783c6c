"""When somebody speaks, by the level of the sound: no model, so that nothing has to be fetched.

The level of a frame is the mean over mel bands of their log energy, in dB: a measure of broad sound, which a hum in one
band hardly moves. Its floor in a recording is a low quantile, its loud level a high one. Speech begins where the level
has gone a share of the way from the one to the other, and ends below a smaller share (hysteresis).
What is not speech and as loud, such as music, is taken for speech, and one floor holds for the whole recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiossl.data.speech_spans import edges_of
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.nn.filterbank import KaldiFbank

_FRAME_S, _FRAME_LASTS_S = 0.01, 0.025
_BANDS = 40
_SMOOTHED = 11  # frames
_FLOOR, _LOUD = 0.05, 0.95  # quantiles
_LEAST_RANGE_DB = 6.0  # noise that stays the same keeps well below it, speech well above

Levels = NDArray[np.float32]


class Stretch(NamedTuple):
    """A part of a recording, in seconds from its beginning."""

    start_s: float
    end_s: float


def levels_of(blocks: Iterable[Tensor], sample_rate_hz: int) -> Levels:
    """(T,) dB, one each 10 ms, which are 1.4 MB an hour. Of the sound one block is held.

    blocks: (S,) samples that follow each other.
    sample_rate_hz: their rate.
    """
    filterbank = KaldiFbank(sample_rate_hz, _BANDS, 1000 * _FRAME_LASTS_S, 1000 * _FRAME_S)
    levels, rest = [np.zeros(0, np.float32)], torch.zeros(0)
    for block in blocks:
        rest = torch.cat([rest, block])
        if len(rest) < filterbank.win:
            continue
        bands = filterbank(rest[None], torch.tensor([len(rest)]))[0]  # (T, bands)
        levels.append(10 / np.log(10) * bands.mean(-1).numpy())
        rest = rest[len(bands) * filterbank.hop :]  # from where the next frame begins
    return np.concatenate(levels)


def audible_in(levels: Levels, options: DiarizeOptions) -> list[Stretch]:
    """Stretches in order of 10 ms each or more whose level is that of speech, without the pauses between them.

    levels: (T,) dB, as `levels_of` gives them.
    options: the share from which on it is.
    """
    _, floor, loud = _range_of(levels)
    return _stretches(*edges_of(levels >= floor + options.offset * (loud - floor)))


def speech_of(levels: Levels, options: DiarizeOptions) -> list[Stretch]:
    """Stretches of speech, in order and apart from each other. Empty where nothing stands out.

    levels: (T,) dB, as `levels_of` gives them.
    options: the shares, and what is too short.
    """
    smooth, floor, loud = _range_of(levels)
    if loud - floor < _LEAST_RANGE_DB:
        return []
    share = (smooth - floor) / (loud - floor)
    starts, stops = edges_of(share >= options.offset)
    loud_so_far = np.append(0, np.cumsum(share >= options.onset))
    begun = loud_so_far[stops] > loud_so_far[starts]
    united = united_stretches(_stretches(starts[begun], stops[begun]), options.min_silence_s)
    long = [each for each in united if each.end_s - each.start_s >= options.min_speech_s]
    end_s = (len(levels) - 1) * _FRAME_S + _FRAME_LASTS_S
    return united_stretches([Stretch(max(a - options.pad_s, 0.0), min(b + options.pad_s, end_s)) for a, b in long])


def _range_of(levels: Levels) -> tuple[NDArray[np.floating[Any]], float, float]:
    """Smoothed levels (T,), their floor and their loud level. Of too few the two are 0."""
    if len(levels) < _SMOOTHED:
        return levels, 0.0, 0.0
    smooth = np.convolve(levels, np.full(_SMOOTHED, 1 / _SMOOTHED), "same")
    half = _SMOOTHED // 2
    smooth[:half], smooth[-half:] = smooth[half], smooth[-half - 1]
    floor, loud = np.quantile(smooth, [_FLOOR, _LOUD])
    return smooth, float(floor), float(loud)


def _stretches(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> list[Stretch]:
    """From frames to seconds: what a frame says is of its middle."""
    edges_s = np.stack([starts, stops], axis=1) * _FRAME_S + (_FRAME_LASTS_S - _FRAME_S) / 2
    return [Stretch(*each) for each in edges_s.tolist()]


def united_stretches(stretches: Sequence[Stretch], gap_s: float = 0.0) -> list[Stretch]:
    """In order, those that touch or have a gap below `gap_s` as one.

    >>> united_stretches([Stretch(3, 4), Stretch(0, 2), Stretch(1, 1.5)], 0.5)
    [Stretch(start_s=0, end_s=2), Stretch(start_s=3, end_s=4)]
    """
    done: list[Stretch] = []
    for each in sorted(stretches):
        if done and (each.start_s <= done[-1].end_s or each.start_s - done[-1].end_s < gap_s):
            done[-1] = Stretch(done[-1].start_s, max(done[-1].end_s, each.end_s))
        else:
            done.append(each)
    return done
