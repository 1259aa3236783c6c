"""The random-projection quantiser, beside speechbrain's."""

from __future__ import annotations

import math

import pytest
import torch

from audiossl.nn.random_quantizer import RandomProjectionQuantizer, label_figures


def test_labels_are_those_of_speechbrain() -> None:
    quantisers = pytest.importorskip("speechbrain.nnet.quantisers")
    draw = torch.Generator().manual_seed(0)
    ours = RandomProjectionQuantizer(12, 4, 50, draw)
    theirs = quantisers.RandomProjectionQuantizer(12, 4, 50)
    theirs.P.copy_(ours.projection)
    theirs.CB.copy_(ours.codes)
    x = torch.randn(2, 40, 12, generator=draw)
    assert torch.equal(ours(x), torch.stack([theirs(item[None])[0] for item in x]))


def test_matrices_follow_the_draw_and_xaviers_bound() -> None:
    one, same, other = (RandomProjectionQuantizer(30, 8, 20, torch.Generator().manual_seed(n)) for n in (1, 1, 2))
    assert torch.equal(one.projection, same.projection)
    assert not torch.equal(one.codes, other.codes)
    assert 0.9 < float(one.projection.abs().max()) / math.sqrt(6 / 38) <= 1
    torch.testing.assert_close(one.codes.norm(dim=-1), torch.ones(20))


def test_figures_of_labels() -> None:
    figures = label_figures(torch.tensor([1, 1, 1, 3]), 8)
    assert float(figures["majority"]) == 0.75
    assert float(figures["usage"]) == 0.25
    assert float(figures["perplexity"]) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))
    assert all(float(value) == 0 for value in label_figures(torch.zeros(0, dtype=torch.int64), 8).values())
