"""The vector of a recording that heads share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from lhotse.cut import Cut
from toys.bands import Bands

from audiossl.core.errors import ConfigError
from audiossl.core.types import Batch, Loss, Metric
from audiossl.training.interface import load_interface
from audiossl.training.pooled import PooledDownstream
from audiossl.training.task import Monitor


class Head(PooledDownstream):
    monitor = Monitor("error", "min")

    def __init__(self, width: int | None, pooling: str, dropout: float = 0.0) -> None:
        upstream = Bands(2)
        super().__init__(upstream, load_interface("weighted_sum", upstream.widths))
        self.out_width = self.build_pooling(width, pooling, dropout)

    @classmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        return config

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Any."""

    def loss(self, batch: Batch) -> Loss:
        raise NotImplementedError

    def predict(self, batch: Batch) -> list[dict[str, Any]]:
        raise NotImplementedError

    def score(self, predictions: Any) -> dict[str, Metric]:
        raise NotImplementedError


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "statistics", "attentive_statistics"])
@pytest.mark.parametrize("width", [None, 5])
def test_frames_beyond_the_length_do_not_matter(pooling: str, width: int | None) -> None:
    head = Head(width, pooling).eval()
    sequence, lengths = torch.randn(3, 9, 8), torch.tensor([9, 4, 1])
    with torch.no_grad():
        together = head.pooled(sequence, lengths)
        alone = torch.cat([head.pooled(sequence[i : i + 1, :n], lengths[i : i + 1]) for i, n in enumerate(lengths)])
    assert together.shape == (3, head.out_width)
    torch.testing.assert_close(together, alone)
    assert head.commutes_with_mean == (pooling == "mean")


def test_the_mean_comes_before_the_layer_and_gives_the_same() -> None:
    head = Head(5, "mean")
    sequence, lengths = torch.randn(2, 7, 8), torch.tensor([7, 3])
    after = head.pooling(head.projector(sequence), lengths)
    torch.testing.assert_close(head.pooled(sequence, lengths), after)


def test_dropout_is_not_stackable_and_an_unknown_pooling_is_said() -> None:
    assert Head(5, "mean").stackable
    assert not Head(5, "mean", 0.1).stackable
    with pytest.raises(ConfigError, match="no pooling named 'median'"):
        Head(5, "median")
