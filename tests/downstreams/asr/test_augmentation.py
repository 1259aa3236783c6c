"""Masks over time and width, in training only."""

from __future__ import annotations

import torch
from toys.asr import spoken_batch, toy_asr

from audiossl.core.types import Batch, Position
from audiossl.downstreams.asr.augmentation import SpecAugmentConfig, spec_augment


def test_masks_depend_on_the_item_and_the_epoch_alone() -> None:
    config = SpecAugmentConfig(num_time_masks=2, time_width=30, num_feature_masks=1, feature_width=4)
    x, names = torch.ones(3, 50, 8), ["a", "b", "c"]
    masked = spec_augment(x, [50, 50, 20], names, 0, config)
    assert torch.equal(spec_augment(x[1:2], [50], ["b"], 0, config)[0], masked[1])
    assert torch.equal(spec_augment(x[2:, :20], [20], ["c"], 0, config)[0], masked[2, :20])
    assert not torch.equal(spec_augment(x, [50, 50, 20], names, 1, config), masked)
    assert int((masked[2].sum(dim=1) == 0).sum()) < 2 * 0.2 * 20
    hidden = [spec_augment(x, [50] * 3, names, epoch, config) == 0 for epoch in range(200)]
    spans = torch.stack(hidden).all(dim=-1).sum(dim=-1).float()  # two of uniform 0 to 9 frames, some overlap
    assert 7.5 < float(spans.mean()) < 9.0


def test_masks_are_for_training_only() -> None:
    masks = {"num_time_masks": 4, "num_feature_masks": 4, "feature_width": 8}
    task, plain, batch = (
        toy_asr(spec_augment=masks, head={"dropout": 0.0}),
        toy_asr(head={"dropout": 0.0}),
        spoken_batch(3),
    )
    assert torch.equal(task.eval().loss(batch).total, plain.eval().loss(batch).total)
    first = task.train().loss(batch).total
    assert not torch.equal(first, plain.train().loss(batch).total)
    assert torch.equal(first, task.loss(batch).total)
    later = Batch(batch.wavs, batch.lengths, batch.cuts, Position(1, 0))
    assert not torch.equal(first, task.loss(later).total)
