"""From the states of one stretch of speech (T, D) to the frames at which segments begin.

min_cut   as SD-HuBERT (Cho et al., 2023, arXiv:2310.10803): K segments of which each is like itself and unlike the rest
          of the stretch, by dynamic programming over the sum of cut / (cut + within). Neighbours that are alike are
          merged.
greedy    as Sylber (Cho et al., 2024, arXiv:2410.07168): a frame belongs to the segment before it where its cosine to
          the segment's mean is high enough. One pass.
peaks     where the states before and after a frame differ most: peaks of a prominence (as Pasad et al., 2023,
          arXiv:2307.00162, find words).
uniform   every so many frames, whatever is heard: what the others have to be better than.

All cosines are of states less their mean over the recording, which other states than those of the papers share a great
part of. Every function gives the starts of segments, 0 first.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiossl.metrics.clusters import Floats, Ints

_SMALL = 1e-12


def directions(states: Floats) -> Floats:
    """(T, D) -> (T, D) less their mean, of length 1."""
    centred = states - states.mean(axis=0)
    made: Floats = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _SMALL)
    return made


def uniform(num_frames: int, every: float) -> Ints:
    """Segments of `every` frames, which need not be whole."""
    return np.unique(np.floor(np.arange(0, num_frames, max(every, 1.0)) + 0.5).astype(np.int64).clip(0, num_frames - 1))


def greedy(x: Floats, least: float) -> Ints:
    """Segments whose frames have at least this cosine to the mean of those before them. x: (T, D) directions."""
    starts, total = [0], x[0].copy()
    for place in range(1, len(x)):
        # The cosine to the sum is that to the mean.
        if float(x[place] @ total) >= least * float(np.sqrt(total @ total)):
            total += x[place]
        else:
            starts.append(place)
            total = x[place].copy()
    return np.array(starts, dtype=np.int64)


def change(x: Floats, width: int) -> Floats:
    """(T - 1,) how much the means of `width` frames before and after each boundary differ. x: (T, D) directions."""
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    place = np.arange(1, len(x))
    before = sums[place] - sums[np.maximum(place - width, 0)]
    after = sums[np.minimum(place + width, len(x))] - sums[place]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    curve: Floats = 1 - (before * after).sum(axis=1) / np.maximum(lengths, _SMALL)
    return curve


def peaks(curve: Floats, prominence: float) -> Ints:
    """Segments between peaks of a curve of changes, of this prominence in its standard deviations."""
    from scipy.signal import find_peaks

    if len(curve) < 2:
        return np.zeros(1, dtype=np.int64)
    found, _ = find_peaks(curve, prominence=max(prominence * float(curve.std()), _SMALL))
    return np.concatenate([[0], found + 1]).astype(np.int64)


def min_cut(x: Floats, counts: Sequence[int], longest: int) -> dict[int, Ints]:
    """For each number of segments the best ones.

    The similarity of two frames is their cosine less the least of the stretch, so that none is negative. Of a segment,
    within is the sum of the similarities of its frames, and cut that to all other frames.

    x: (T, D) directions.
    counts: how many segments, as far as they fit: from T / longest to T.
    longest: frames of a segment.
    """
    size = len(x)
    fitting = {count: min(max(count, -(-size // longest)), size) for count in counts}
    costs = _costs(x, min(longest, size))
    most = max(fitting.values())
    best = np.full(size + 1, np.inf)
    best[0] = 0.0
    ends = np.arange(size + 1)[:, None] - np.arange(1, costs.shape[1] + 1)  # (T + 1, L) where a segment would begin
    steps = np.zeros((most + 1, size + 1), dtype=np.int64)
    for count in range(1, most + 1):
        candidates = np.where(ends >= 0, best[ends.clip(min=0)] + costs, np.inf)
        steps[count] = candidates.argmin(axis=1) + 1
        best = candidates.min(axis=1)
    return {count: _traced(steps, number, size) for count, number in fitting.items()}


def merged(x: Floats, starts: Ints, above: float) -> Ints:
    """Segments of which the most alike neighbours are merged, again and again, while their cosine is above a bound.

    x: (T, D) directions.
    starts: of the segments.
    above: the bound. 1 or more merges nothing.
    """
    bounds = [*starts.tolist(), len(x)]
    sums = [x[first:stop].sum(axis=0) for first, stop in itertools.pairwise(bounds)]
    kept = starts.tolist()
    alike = [_cosine(first, second) for first, second in itertools.pairwise(sums)]
    while alike and max(alike) > above:
        place = int(np.argmax(alike))
        sums[place] = sums[place] + sums.pop(place + 1)
        kept.pop(place + 1)
        alike.pop(place)
        for near in (place - 1, place):
            if 0 <= near < len(alike):
                alike[near] = _cosine(sums[near], sums[near + 1])
    return np.array(kept, dtype=np.int64)


def _costs(x: Floats, longest: int) -> Floats:
    """(T + 1, L): cut / (cut + within) of the segment of l frames that ends before frame b."""
    size = len(x)
    alike = x @ x.T
    alike = alike - alike.min()
    area: NDArray[np.float64] = np.zeros((size + 1, size + 1))
    area[1:, 1:] = alike.cumsum(axis=0).cumsum(axis=1)
    ends = np.arange(size + 1)[:, None]
    starts = (ends - np.arange(1, longest + 1)).clip(min=0)
    within = area[ends, ends] - area[starts, ends] - area[ends, starts] + area[starts, starts]
    whole = area[ends, size] - area[starts, size]
    made: Floats = np.where(whole > _SMALL, (whole - within) / np.maximum(whole, _SMALL), 0.0)
    return made


def _traced(steps: Ints, count: int, size: int) -> Ints:
    starts, end = [], size
    for number in range(count, 0, -1):
        end -= int(steps[number, end])
        starts.append(end)
    return np.array(starts[::-1], dtype=np.int64)


def _cosine(first: Floats, second: Floats) -> float:
    return float(first @ second / max(float(np.linalg.norm(first) * np.linalg.norm(second)), _SMALL))
