"""Where in a clean recording somebody speaks, by its energy alone.

A frame is speech where its level is less than `FLOOR_DB` below the recording's loud frames (their 95th percentile).
Shorter pauses than `PAUSE_S` belong to the speech around them, shorter sounds than `SOUND_S` are none. That is enough
for read speech without noise, from which mixtures are made, and for nothing else.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FRAME_S = 0.01
FLOOR_DB = 35.0
PAUSE_S = 0.25
SOUND_S = 0.05
_LOUD = 0.95
_SILENT = 1e-5  # of full scale: -100 dB

Wave = npt.NDArray[np.float32]


def speech_spans(samples: Wave, sample_rate_hz: int) -> list[tuple[int, int]]:
    """(first, last) samples of each stretch of speech, `last` exclusive. None in silence.

    samples: (S,) of one speaker.
    sample_rate_hz: theirs.
    """
    step = max(1, round(FRAME_S * sample_rate_hz))
    count = -(-len(samples) // step)
    if not count:
        return []
    frames = np.pad(samples.astype(np.float64), (0, count * step - len(samples))).reshape(count, step)
    levels = np.sqrt((frames**2).mean(axis=1))
    floor = max(np.quantile(levels, _LOUD) * 10 ** (-FLOOR_DB / 20), _SILENT)
    starts, stops = edges_of(levels > floor)
    # Pauses are closed before sounds are dropped: a burst beside a word belongs to the word.
    near = starts[1:] - stops[:-1] < round(PAUSE_S / FRAME_S)
    starts, stops = starts[np.append(True, ~near)[: len(starts)]], stops[np.append(~near, True)[: len(stops)]]
    long = stops - starts >= round(SOUND_S / FRAME_S)
    return [(int(a) * step, min(int(b) * step, len(samples))) for a, b in zip(starts[long], stops[long], strict=True)]


def edges_of(active: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(N,) where each run of True begins, and (N,) where it has ended.

    >>> edges_of(np.array([True, False, True, True]))
    (array([0, 2]), array([1, 4]))
    """
    changes = np.diff(np.concatenate([[0], active.astype(np.int8), [0]]))
    return np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
