"""What expectation maximisation reads of utterances, in a temporary file: memory does not grow with their number.

An utterance of T frames meets at most T units. Only their counts and sums are written, so that the file is never larger
than the states themselves, and most often much smaller.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiossl.nn.factor_fitting import Totals
from audiossl.nn.kmeans import nearest_centre

_BATCH_BYTES = 2**26  # of dense sums that are read at once


class UtteranceStatistics:
    """Counts and sums of frames (T, D) about the centres (K, D) that they are nearest to, a row for each utterance.

    Used as a context, whose end removes the file.
    """

    def __init__(self, centres: Tensor) -> None:
        self.centres = centres.float().cpu()
        clusters, width = self.centres.shape
        self.counts = torch.zeros(clusters, dtype=torch.float64)
        self.sums = torch.zeros(clusters, width, dtype=torch.float64)
        self.squares = torch.zeros(clusters, width, dtype=torch.float64)
        self._file = tempfile.TemporaryFile(prefix="audiossl-factors-")  # noqa: SIM115
        self._rows: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []  # units that are met, and how often

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def totals(self) -> Totals:
        """Over all utterances so far."""
        return Totals(self.counts, self.sums, self.squares)

    def add(self, states: Tensor) -> None:
        """The frames (T, D) of an utterance, which must be finite."""
        states = states.detach().float().cpu()
        labels = nearest_centre(states, self.centres)
        offsets = (states - self.centres[labels]).double()
        units, places, counts = labels.unique(return_inverse=True, return_counts=True)
        sums = offsets.new_zeros(len(units), states.shape[1]).index_add_(0, places, offsets)
        self.counts[units] += counts
        self.sums[units] += sums
        self.squares.index_add_(0, labels, offsets.square())
        self._file.write(sums.float().numpy().tobytes())
        self._rows.append((units.numpy().astype(np.int32), counts.numpy().astype(np.float32)))

    def read(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of counts (U, K) and sums (U, K, D), from the first utterance."""
        self._file.flush()
        self._file.seek(0)
        clusters, width = self.centres.shape
        size = max(1, _BATCH_BYTES // (4 * clusters * width))
        for first in range(0, len(self._rows), size):
            rows = self._rows[first : first + size]
            counts, sums = torch.zeros(len(rows), clusters), torch.zeros(len(rows), clusters, width)
            for place, (units, numbers) in enumerate(rows):
                written = np.frombuffer(self._file.read(4 * len(units) * width), dtype=np.float32)
                index = torch.from_numpy(units).long()
                counts[place, index] = torch.from_numpy(numbers)
                sums[place, index] = torch.from_numpy(written.copy()).view(len(units), width)
            yield counts, sums
