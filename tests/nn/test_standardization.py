"""Standardised layers: statistics by hand, masks, constants, and the type of what comes out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import TrainingError
from audiossl.core.types import Features
from audiossl.nn.standardization import NUM_ROWS, Standardization, StreamingMoments, Unit


def fitted(unit: Unit, *batches: Features, layers: tuple[int, ...] = (0, 1)) -> Standardization:
    made = Standardization((2, 3), layers, unit)
    assert made.needs_fit
    made.fit(batches)
    assert not made.needs_fit
    return made


def ragged(seed: int, lengths: tuple[int, ...] = (5, 2, 3), padding: float = float("nan")) -> Features:
    """Layers of widths 2 and 3 whose scales are far apart, with `padding` beyond each item's frames."""
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for width, scale, offset in ((2, 0.01, -8.0), (3, 100.0, 0.0)):
        states = offset + scale * torch.randn(len(lengths), max(lengths), width, generator=draw)
        for row, length in zip(states, lengths, strict=True):
            row[length:] = padding
        layers.append(states)
    return Features(tuple(layers), torch.tensor(lengths))


def rows_of(unit: Unit, batches: tuple[Features, ...], layer: int) -> Tensor:
    """What is counted, item by item."""
    items = [batch.item(index)[layer] for batch in batches for index in range(len(batch.lengths))]
    return torch.cat([item.mean(0, keepdim=True) if unit == "recordings" else item for item in items])


@pytest.mark.parametrize("unit", ["recordings", "frames"])
def test_what_is_counted_has_mean_0_and_deviation_1_whatever_lies_in_the_padding(unit: Unit) -> None:
    batches = ragged(0), ragged(1, (4, 1, 1))
    made = fitted(unit, *batches)
    for layer in (0, 1):
        found = rows_of(unit, tuple(Features(tuple(made(b.layers)), b.lengths) for b in batches), layer)
        torch.testing.assert_close(found.mean(0), torch.zeros(found.shape[1]), atol=2e-3, rtol=0)
        torch.testing.assert_close(found.std(0, correction=0), torch.ones(found.shape[1]), atol=2e-3, rtol=0)
        raw = rows_of(unit, batches, layer).double()
        torch.testing.assert_close(made.get_buffer(f"mean_{layer}").double(), raw.mean(0), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            made.get_buffer(f"deviation_{layer}").double(), raw.std(0, correction=0), rtol=1e-3, atol=1e-6
        )


def test_recordings_are_counted_alike_as_frames_and_as_their_means() -> None:
    whole = ragged(0)
    means = [torch.stack([whole.item(index)[layer].mean(0, keepdim=True) for index in range(3)]) for layer in (0, 1)]
    of_frames, of_means = (
        fitted("recordings", whole),
        fitted("recordings", Features(tuple(means), torch.ones(3).long())),
    )
    for name, buffer in of_frames.named_buffers():
        torch.testing.assert_close(buffer, of_means.get_buffer(name), rtol=1e-5, atol=1e-6)


def test_a_constant_dimension_keeps_its_scale_and_rounding_is_no_signal() -> None:
    states = torch.zeros(4, 3, 2)
    states[..., 0] = 100 + 1e-4 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))  # as float32 rounds
    silence = Features((states, torch.zeros(4, 3, 3)), torch.full((4,), 3))
    made = fitted("frames", silence)
    assert made.get_buffer("deviation_0").tolist() == [1, 1]
    first, second = made(silence.layers)
    assert first.abs().max() < 1e-3 and not second.any()


def test_layers_that_are_not_read_pass_and_may_be_missing_or_empty() -> None:
    batch = ragged(0)
    made = fitted("frames", batch, layers=(0,))
    assert set(dict(made.named_buffers())) == {"mean_0", "deviation_0", "fitted"}
    assert made(batch.layers)[1] is batch.layers[1]
    assert len(made(batch.layers[:1])) == 1
    last = fitted("frames", Features((torch.zeros(3, 0, 2), batch.layers[1]), batch.lengths), layers=(1,))
    assert last([torch.zeros(3, 0, 2), batch.layers[1]])[0].shape == (3, 0, 2)
    assert len(fitted("frames", batch)(batch.layers[:1])) == 1  # an encoder that stopped early


def test_half_precision_stays_and_is_computed_in_float32() -> None:
    batch = ragged(0, padding=0.0)
    made = fitted("frames", batch)
    halves = made([layer.half() for layer in batch.layers])
    assert all(layer.dtype == torch.float16 for layer in halves)
    expected = made([layer.half().float() for layer in batch.layers])
    for half, wide in zip(halves, expected, strict=True):
        torch.testing.assert_close(half.float(), wide, rtol=1e-3, atol=1e-3)


def test_it_stops_reading_when_it_has_enough_rows() -> None:
    seen: list[int] = []

    def batches() -> Iterator[Features]:
        while True:
            seen.append(300)
            yield ragged(len(seen), (1,) * 300)

    made = Standardization((2, 3), (0, 1), "frames")
    made.fit(batches())
    assert sum(seen) == 1200 and NUM_ROWS == 1000


def test_it_must_be_fitted_and_its_state_is_saved() -> None:
    made = Standardization((2, 3), (0, 1), "frames")
    batch = ragged(0, padding=0.0)
    with pytest.raises(TrainingError, match="has not been fitted"):
        made(batch.layers)
    source = fitted("frames", batch)
    made.load_state_dict(source.state_dict())
    assert all(torch.equal(one, two) for one, two in zip(made(batch.layers), source(batch.layers), strict=True))


def test_moments_in_parts_are_those_of_the_whole() -> None:
    rows = 1e6 + torch.randn(100, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sums = StreamingMoments(4)
    for part in (rows[:1], rows[1:40], rows[40:40], rows[40:]):
        sums.add(part)
    torch.testing.assert_close(sums.mean, rows.mean(0))
    torch.testing.assert_close(sums.deviation(), torch.ones(4, dtype=torch.float64))  # below what float32 rounds
    small = StreamingMoments(4)
    small.add(rows - 1e6)
    torch.testing.assert_close(small.deviation(), rows.std(0, correction=0), rtol=1e-6, atol=0)
