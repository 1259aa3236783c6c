"""How many directions a view uses: the effective rank, a score of encoders that needs no labels.

RankMe (Garrido et al., 2023, arXiv:2210.02885) is exp(entropy) of the singular values of all items, as shares of their
sum. It follows with downstream figures within a layer over a training, but does not tell the best layer for a task
(Aldeneh et al., 2024, arXiv:2409.10787).
"""

from __future__ import annotations

import numpy as np

from audiossl.metrics.moment_sums import OwnSums


def effective_rank(sums: OwnSums) -> float:
    """Of items (N, D), from 1 to D. Their mean is not taken away.

    >>> round(effective_rank(OwnSums.of(np.eye(4))), 6)
    4.0
    """
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(sums.second), 0.0))
    shares = singular / max(singular.sum(), 1e-300)
    used = shares[shares > 0]
    return float(np.exp(-(used * np.log(used)).sum()))
