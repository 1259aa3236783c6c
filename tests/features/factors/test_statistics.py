"""Statistics come back as they were written, batch by batch, and add up to the totals."""

from __future__ import annotations

import pytest
import torch

from audiossl.features.factors import statistics
from audiossl.features.factors.statistics import UtteranceStatistics
from audiossl.nn.kmeans import nearest_centre


def test_what_is_read_is_what_was_added(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(5, 3, generator=draw)
    utterances = [torch.randn(length, 3, generator=draw) for length in (7, 1, 4)]
    monkeypatch.setattr(statistics, "_BATCH_BYTES", 4 * 5 * 3 * 2)  # two utterances
    with UtteranceStatistics(centres) as kept:
        for states in utterances:
            kept.add(states)
        for _ in range(2):
            batches = list(kept.read())
            assert [len(counts) for counts, _ in batches] == [2, 1] and len(kept) == 3
            counts, sums = (torch.cat(parts) for parts in zip(*batches, strict=True))
            for place, states in enumerate(utterances):
                labels = nearest_centre(states, centres)
                assert torch.equal(counts[place], labels.bincount(minlength=5).float())
                expected = torch.zeros(5, 3).index_add_(0, labels, states - centres[labels])
                torch.testing.assert_close(sums[place], expected)
        torch.testing.assert_close(kept.totals.sums, sums.double().sum(0))
        assert float(kept.totals.counts.sum()) == 12
