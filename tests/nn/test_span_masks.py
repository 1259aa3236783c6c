"""Spans are as many, as long and where they should be, by the global seed."""

from __future__ import annotations

import pytest
import torch

from audiossl.nn.draws import keyed_generator
from audiossl.nn.span_masks import draw_span_masks, span_mask


def test_spans_cover_the_share_that_was_asked_for() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([200, 50, 4])
    masks = torch.stack([span_mask(lengths, 200, 0.3, 5) for _ in range(400)]).float()
    for item, length in ((0, 200), (1, 50)):
        covered = masks[:, item, :length].mean()
        assert 0.22 < float(covered) < 0.3  # overlaps take some away
        assert not masks[:, item, length:].any()
    assert not masks[:, 2].any()  # shorter than a span
    runs = (masks[0, 0, 1:] > masks[0, 0, :-1]).sum() + masks[0, 0, 0]
    assert int(masks[0, 0].sum()) >= 5 * int(runs) - 4


@pytest.mark.parametrize("span", [1, 3, 8])
def test_every_span_is_whole(span: int) -> None:
    torch.manual_seed(1)
    for _ in range(50):
        (mask,) = span_mask(torch.tensor([30]), 40, 0.2, span).int()
        edges = torch.diff(torch.nn.functional.pad(mask, (1, 1)))
        lengths = (edges == -1).nonzero() - (edges == 1).nonzero()
        assert bool((lengths >= span).all())
        assert not mask[30:].any()


def test_starts_are_drawn_without_replacement() -> None:
    torch.manual_seed(2)
    # With spans of one position, as many positions are masked as there are spans: here 10 of 20, every time.
    assert all(int(span_mask(torch.tensor([20]), 20, 0.5, 1).sum()) in (10, 11) for _ in range(50))


def test_the_number_of_spans_is_exact_on_average() -> None:
    torch.manual_seed(3)
    counts = torch.stack([span_mask(torch.tensor([25]), 25, 0.1, 1).sum() for _ in range(2000)]).float()
    assert set(counts.tolist()) == {2.0, 3.0}  # 2.5, rounded down or up
    assert float(counts.mean()) == pytest.approx(2.5, abs=0.05)


def test_the_global_seed_decides() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return span_mask(torch.tensor([100, 80]), 100, 0.4, 5)

    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


def test_drawn_masks_belong_to_the_item() -> None:
    """An item is masked as it is alone, and about as much as wav2vec 2.0's 0.65 of spans of ten: 49 %."""
    frames = [781, 300, 9, 0]
    masks = draw_span_masks(frames, 781, 0.65, 10, [keyed_generator(item) for item in range(4)])
    for item, count in enumerate(frames):
        alone = draw_span_masks([count], count, 0.65, 10, [keyed_generator(item)])
        assert torch.equal(masks[item, :count], alone[0])
        assert not masks[item, count:].any()
    shares = [
        draw_span_masks([781], 781, 0.65, 10, [keyed_generator("share", seed)]).float().mean() for seed in range(60)
    ]
    assert float(torch.stack(shares).mean()) == pytest.approx(0.489, abs=0.01)
    few = draw_span_masks([40, 9], 40, 0.0, 10, [keyed_generator(0), keyed_generator(1)], min_spans=2)
    assert 11 <= int(few[0].sum()) <= 20
    assert not few[1].any()  # no whole span fits
