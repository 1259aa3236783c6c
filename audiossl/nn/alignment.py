"""The most probable path of CTC through a known sequence of classes: Viterbi's algorithm over the states of Graves et
al. (2006), section 4.1, which are the classes with a blank before, between and after.

Log-probabilities become whole numbers of a unit that is as small as 58 bits allow for the sum over an item, 2^-43 or so
for a minute of speech. Sums of whole numbers have no rounding, so two paths tie wherever they have the same
log-probabilities, in whatever order. Of tied paths one is taken that, seen from its end, stays in a state rather than
coming from another, comes from the state before rather than over a blank, and ends in the last class rather than in the
blank after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, starmap
from operator import eq

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.nn.compiled import compiled

_Whole = npt.NDArray[np.int64]
_SUM_BITS = 58
_NEVER = -(2**61)  # less than any sum, even after another sum is added


def steps_needed(classes: Sequence[int]) -> int:
    """The fewest frames in which CTC can emit a sequence: one each, and a blank between equal neighbours.

    >>> steps_needed([1, 2, 2, 3])
    5
    """
    num_equal: int = sum(starmap(eq, pairwise(classes)))
    return len(classes) + num_equal


def align_classes(log_probs: Tensor, lengths: Tensor, targets: Sequence[Sequence[int]], blank: int = 0) -> Tensor:
    """The class of every frame on the most probable path of each item. What lies beyond its end changes nothing.

    log_probs: (B, T, C). A class of probability 0 (-inf) is taken as seldom as the targets allow.
    lengths: (B,) frames of each item.
    targets: the classes of each item without blanks, perhaps none.
    blank: the class that stands for none.
    Returns (B, T) int64 on the CPU, blank beyond the end of an item.
    Raises LabelError for an item with fewer frames than its classes need, and AudiosslError for scores that are NaN.

    >>> log_probs = torch.tensor([[[0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.7, 0.1, 0.2]]]).log()
    >>> align_classes(log_probs, torch.tensor([3]), [[1, 2]]).tolist()
    [[1, 2, 0]]
    """
    path = torch.full(log_probs.shape[:2], blank, dtype=torch.int64)
    scores, found = log_probs.detach().float().cpu().numpy(), path.numpy()
    for number, (length, classes) in enumerate(zip(lengths.tolist(), targets, strict=True)):
        if steps_needed(classes) > length:
            raise LabelError(
                f"Item {number} has {length} frames, and its {len(classes)} classes need {steps_needed(classes)}; "
                "give it fewer classes."
            )
        states = np.full(2 * len(classes) + 1, blank, dtype=np.int64)
        states[1::2] = classes
        used, columns = np.unique(states, return_inverse=True)
        visited = np.empty(length, dtype=np.int64)
        compiled(_walk)(_whole_numbers(scores[number][:length, used]), columns, visited)
        found[number, :length] = states[visited]
    return path


def _whole_numbers(scores: npt.NDArray[np.float32]) -> _Whole:
    """Log-probabilities (T, C) in units of a power of two, with which no sum over T reaches 2^58."""
    wide = np.array(scores, dtype=np.float64, order="C")
    impossible = np.isneginf(wide)
    largest = float(np.abs(wide[~impossible]).max(initial=0.0))
    if not np.isfinite(largest):
        raise AudiosslError(
            "Log-probabilities are NaN or infinite, so no path is the best; the weights they come from are damaged, or "
            "training has diverged."
        )
    total = max(largest * len(wide), 1.0)
    if impossible.any():
        # One impossible frame costs more than all others can make up for.
        wide[impossible] = -3.0 * total
        total *= 3.0 * len(wide)
    whole: _Whole = np.rint(wide * 2.0 ** np.floor(_SUM_BITS - np.log2(total))).astype(np.int64)
    return whole


def _walk(scores: _Whole, columns: _Whole, visited: _Whole) -> None:
    """Write the state of each frame into `visited` (T,).

    scores: (T, C') whole numbers.
    columns: (S,) the column of each state, a blank's at even places.
    """
    num_frames, num_states = len(scores), len(columns)
    came = np.zeros((num_frames, num_states), dtype=np.uint8)  # from how many states before
    before, now = np.full(num_states, _NEVER), np.full(num_states, _NEVER)
    before[:2] = 0  # a path begins with the first blank or the first class
    for t in range(num_frames):
        # Only states that can be reached from the beginning, and from which the end can be reached.
        for s in range(max(0, num_states - 2 * (num_frames - t)), min(num_states, 2 * t + 2)):
            best, step = before[s], 0
            if s > 0 and before[s - 1] > best:
                best, step = before[s - 1], 1
            if s > 1 and s % 2 == 1 and columns[s] != columns[s - 2] and before[s - 2] > best:
                best, step = before[s - 2], 2
            came[t, s] = step
            now[s] = best + scores[t, columns[s]]
        before, now = now, before
    s = num_states - 1
    if s > 0 and before[s - 1] >= before[s]:
        s -= 1
    for t in range(num_frames - 1, -1, -1):
        visited[t] = s
        s -= came[t, s]
