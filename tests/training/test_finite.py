"""Hidden states that are no numbers are named by their row."""

from __future__ import annotations

import pytest
import torch
from toys.words import tone_batch

from audiossl.core.errors import TrainingError
from audiossl.core.types import Features
from audiossl.training.finite import StandardizedBatches, finite


def test_padding_may_be_anything_and_a_frame_may_not() -> None:
    batch = tone_batch(2)
    layers = (torch.zeros(2, 4, 3), torch.zeros(2, 4, 3))
    layers[0][1, 3] = torch.nan  # beyond its end
    features = Features(layers, torch.tensor([4, 3]))
    assert finite(features, batch, [0, 1]) is features
    layers[1][1, 2] = torch.inf
    assert finite(features, batch, [0]) is features
    with pytest.raises(TrainingError, match="Hidden states of the training row 'item-1' are not finite"):
        finite(features, batch, [0, 1])


def test_standardised_batches_begin_afresh() -> None:
    batches = [tone_batch(2), tone_batch(3)]
    made = StandardizedBatches(
        lambda batch: Features((torch.ones(len(batch), 1, 1),), torch.ones(len(batch), dtype=torch.int64)),
        lambda features: Features((features.layers[0] * 2,), features.lengths),
        batches,
    )
    assert [[float(each.layers[0].sum()) for each in made] for _ in range(2)] == [[4.0, 6.0], [4.0, 6.0]]
