"""Statistics of an encoder's input features over its training data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

import torch
from torch import Tensor

from audiossl.core.errors import TrainingError
from audiossl.core.types import Batch
from audiossl.encoders.upstream import Upstream
from audiossl.nn.masking import valid_frames


class NormalizedFeatures(Protocol):
    """An encoder whose input features are normalised by those of its training data."""

    @property
    def needs_statistics(self) -> bool:
        """True while it waits for `set_statistics`."""

    def local_features(self, wavs: Tensor, lengths: Tensor, *, normalized: bool = True) -> Tensor:
        """wavs (B, S) with lengths (B,) -> input features (B, T, F)."""

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Mean and standard deviation (F,) of the training data."""


def needs_statistics(upstream: Upstream) -> bool:
    """Whether an encoder waits for statistics of its training data."""
    return bool(getattr(upstream, "needs_statistics", False))


@torch.no_grad()
def fit_features(upstream: Upstream, batches: Iterable[Batch]) -> None:
    """Give an encoder the mean and standard deviation of every band over all real frames of `batches`.

    Raises TrainingError where there is no sound, or where a band is the same in all frames.
    """
    encoder = cast(NormalizedFeatures, upstream)
    count, total, squares = 0, torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    for batch in batches:
        x = encoder.local_features(batch.wavs, batch.lengths, normalized=False)
        frames = x[valid_frames(upstream.num_frames(batch.lengths), x.shape[1])].double()
        count += len(frames)
        total = total.to(frames) + frames.sum(0)
        squares = squares.to(frames) + frames.square().sum(0)
    if not count:
        raise TrainingError("The training data have no frames to take statistics of; check data.train.")
    mean = total / count
    variance = squares / count - mean.square()
    if bool((variance <= 1e-12).all()):
        raise TrainingError("All frames of the training data are the same: silence, or no sound; check data.train.")
    encoder.set_statistics(mean, variance.clamp(min=1e-8).sqrt())
