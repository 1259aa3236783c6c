"""Hidden states of which statistics are estimated: they must be numbers, and are walked through more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from audiossl.core.errors import TrainingError
from audiossl.core.types import Batch, Features


def finite(features: Features, batch: Batch, layers: Sequence[int]) -> Features:
    """The hidden states of a batch as they are. Raises TrainingError, which names the row, where these layers have NaN.

    >>> import torch
    >>> states = Features((torch.zeros(1, 2, 3),), torch.tensor([2]))
    >>> finite(states, Batch(torch.zeros(1, 4), torch.tensor([4])), [0]) is states
    True
    """
    for index, cut in enumerate(batch.cuts):
        states = features.item(index)
        if not all(bool(states[layer].isfinite().all()) for layer in layers):
            raise TrainingError(
                f"Hidden states of the training row {cut.id!r} are not finite, so layers cannot be standardised; drop "
                f"the row, look at its sound with `audiossl data validate`, or set standardize=false."
            )
    return features


class StandardizedBatches:
    """Features of batches as an interface combines them, from the beginning whenever they are walked through.

    features: gives those of a batch.
    standardized: what the interface makes of them.
    batches: which can be walked through more than once.
    """

    def __init__(
        self,
        features: Callable[[Batch], Features],
        standardized: Callable[[Features], Features],
        batches: Iterable[Batch],
    ) -> None:
        self._features, self._standardized, self._batches = features, standardized, batches

    def __iter__(self) -> Iterator[Features]:
        return (self._standardized(self._features(batch)) for batch in self._batches)
