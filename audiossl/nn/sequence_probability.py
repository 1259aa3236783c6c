"""How probable a sequence of classes is under CTC, over all its alignments: the forward algorithm of Graves et al.
(2006), section 4.1, as compiled loops.

`torch.nn.functional.ctc_loss` gives the same numbers, and tests compare with it. For a few short sequences of one item
it takes several times as long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiossl.nn.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def sequence_log_probs(log_probs: npt.ArrayLike, sequences: Sequence[Sequence[int]], blank: int = 0) -> Floats:
    """log p(sequence) of N sequences, by the scores of one item.

    log_probs: (T, C) of its steps, at least one.
    sequences: classes without blanks, perhaps none.
    blank: the class that stands for none.
    Returns (N,). -inf for a sequence that needs more steps than there are.

    >>> sequence_log_probs(np.log([[0.5, 0.5], [0.25, 0.75]]), [[1], []]).round(4).tolist()
    [-0.1335, -2.0794]
    """
    scores = np.ascontiguousarray(log_probs, dtype=np.float64)
    starts = np.cumsum([0, *(len(each) for each in sequences)])
    classes = np.fromiter((number for each in sequences for number in each), dtype=np.int64, count=starts[-1])
    found = np.empty(len(sequences))
    compiled(_forward)(scores, classes, starts, blank, found)
    return found


def _forward(scores: Floats, classes: Ints, starts: Ints, blank: int, found: Floats) -> None:
    """Write the log-probability of each sequence into `found` (N,).

    scores: (T, C).
    classes: of all sequences, one after the other.
    starts: (N + 1,) the first class of each sequence, and their number.
    """
    num_steps, never = len(scores), -np.inf
    for n in range(len(found)):
        first, num_classes = starts[n], starts[n + 1] - starts[n]
        num_states = 2 * num_classes + 1
        sums = np.full(num_states, never)
        sums[0] = scores[0, blank]
        if num_classes:
            sums[1] = scores[0, classes[first]]
        for t in range(1, num_steps):
            # From the last state down, so that those before are still of the step before. Only what can be reached.
            for s in range(min(num_states, 2 * t + 2) - 1, max(0, num_states - 2 * (num_steps - t)) - 1, -1):
                a = sums[s]
                b = sums[s - 1] if s > 0 else never
                c, column = never, blank
                if s % 2 == 1:
                    column = classes[first + s // 2]
                    if s > 1 and column != classes[first + s // 2 - 1]:
                        c = sums[s - 2]
                most = max(a, b, c)
                if most > never:
                    most += np.log(np.exp(a - most) + np.exp(b - most) + np.exp(c - most)) + scores[t, column]
                sums[s] = most
        found[n] = np.logaddexp(sums[num_states - 1], sums[num_states - 2]) if num_classes else sums[0]
