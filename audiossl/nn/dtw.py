"""Dynamic time warping as compiled loops: of a whole segment to another one, and of a query to any part of a document.

`librosa.sequence.dtw` gives the same sums and tests compare with it. It keeps the whole matrix of sums in float64 and
takes about a hundred times as long for a query in a document. It also swaps the two where the query is the longer one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiossl.nn.compiled import compiled

Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def subsequence_costs(distances: Floats32, starts: Ints) -> Floats32:
    """The least mean distance of each query to any part of a document.

    A path takes every frame of the query once. With each it stays on a frame of the document or goes on by one or two:
    the step pattern 'asymmetric' of Sakoe and Chiba (1978) as R's dtw names it, with open begin and open end. A query
    may therefore be longer than the document, or half as long as what it is found in.

    distances: (N, T) of all frames of all queries, one query after the other, to the T frames of the document.
    starts: (Q + 1,) the first row of each query, and N.
    Returns (Q,). NaN for a query without a frame.

    >>> distances = np.array([[9, 0, 9], [9, 9, 0], [1, 2, 3]], dtype=np.float32)
    >>> subsequence_costs(distances, np.array([0, 2, 3])).tolist()
    [0.0, 1.0]
    """
    found: Floats32 = compiled(_subsequence)(np.ascontiguousarray(distances, dtype=np.float32), starts)
    return found


def path_costs(firsts: Floats32, seconds: Floats32, first_starts: Ints, second_starts: Ints, pairs: Ints) -> Floats32:
    """The mean cosine distance along the best path between two segments, for many pairs.

    A path goes on by a frame of the one, of the other, or of both, from the first frames to the last ones. Its sum is
    divided by the number of its steps, as in ABX (Schatz et al., 2013).

    firsts, seconds: (N, D) and (M, D) frames of unit length, one segment after the other.
    first_starts, second_starts: the first frame of each segment, and N or M.
    pairs: (P, 2) numbers of segments.
    Returns (P,). NaN for a segment without a frame.
    """
    given = (np.ascontiguousarray(each, dtype=np.float32) for each in (firsts, seconds))
    found: Floats32 = compiled(_paths)(*given, first_starts, second_starts, np.ascontiguousarray(pairs))
    return found


def _subsequence(distances: Floats32, starts: Ints) -> Floats32:
    num_frames = distances.shape[1]
    found = np.empty(len(starts) - 1, dtype=np.float32)
    before, now = np.empty(num_frames, dtype=np.float32), np.empty(num_frames, dtype=np.float32)
    for query in range(len(starts) - 1):
        first, last = starts[query], starts[query + 1]
        if first == last or num_frames == 0:
            found[query] = np.nan
            continue
        before[:] = distances[first]
        for row in range(first + 1, last):
            for frame in range(num_frames):
                best = before[frame]
                if frame > 0 and before[frame - 1] < best:
                    best = before[frame - 1]
                if frame > 1 and before[frame - 2] < best:
                    best = before[frame - 2]
                now[frame] = best + distances[row, frame]
            before, now = now, before
        found[query] = before.min() / (last - first)
    return found


def _paths(firsts: Floats32, seconds: Floats32, first_starts: Ints, second_starts: Ints, pairs: Ints) -> Floats32:
    found = np.empty(len(pairs), dtype=np.float32)
    for number in range(len(pairs)):
        first, second = pairs[number]
        one = firsts[first_starts[first] : first_starts[first + 1]]
        other = seconds[second_starts[second] : second_starts[second + 1]]
        if len(one) == 0 or len(other) == 0:
            found[number] = np.nan
            continue
        similar = np.dot(one, other.T)
        sums = np.empty(len(other), dtype=np.float32)  # of the best path to each frame of the other, and its steps
        steps = np.empty(len(other), dtype=np.int64)
        for row in range(len(one)):
            diagonal, diagonal_steps = np.float32(0.0), 0
            for column in range(len(other)):
                above, above_steps = sums[column], steps[column]
                if row == 0 and column == 0:
                    best, taken = np.float32(0.0), 0
                elif row == 0:
                    best, taken = sums[column - 1], steps[column - 1]
                elif column == 0:
                    best, taken = above, above_steps
                else:
                    best, taken = diagonal, diagonal_steps  # where sums are equal, the shortest path
                    if above < best:
                        best, taken = above, above_steps
                    if sums[column - 1] < best:
                        best, taken = sums[column - 1], steps[column - 1]
                sums[column] = best + max(np.float32(0.0), np.float32(1.0) - similar[row, column])
                steps[column] = taken + 1
                diagonal, diagonal_steps = above, above_steps
        found[number] = sums[-1] / steps[-1]
    return found
