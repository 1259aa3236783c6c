"""The contract of an encoder: frame arithmetic, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys.core import ToyConfig, ToyUpstream

from audiossl.core.errors import AudioError


def toy(stride: int = 160, receptive_field: int = 160, edge: int = 0) -> ToyUpstream:
    upstream = ToyUpstream(ToyConfig()).eval()
    upstream.stride, upstream.receptive_field, upstream.edge = stride, receptive_field, edge
    return upstream


@given(st.integers(0, 3000), st.integers(1, 400), st.integers(1, 500), st.integers(0, 200))
def test_frames_are_counted_as_windows_that_fit(samples: int, stride: int, receptive_field: int, edge: int) -> None:
    upstream = toy(stride, receptive_field, edge)
    padded = samples + 2 * edge
    assert upstream.num_frames(samples) == len(range(0, padded - receptive_field + 1, stride))
    assert upstream.num_frames(torch.tensor([samples])).tolist() == [upstream.num_frames(samples)]


def test_lengths_left_out_are_all_of_it_and_what_lies_beyond_does_not_count() -> None:
    upstream, wavs = toy(), torch.randn(2, 800, generator=torch.Generator().manual_seed(0))
    whole = upstream(wavs)
    assert whole.lengths.tolist() == [5, 5]
    spoilt = wavs.clone()
    spoilt[1, 480:] = 99.0
    short = upstream(spoilt, torch.tensor([800, 480]))
    assert short.lengths.tolist() == [5, 3]
    for found, expected in zip(short.item(1), upstream(wavs[1:, :480]).item(0), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_stop_gives_the_first_layers() -> None:
    upstream, wavs = toy(), torch.randn(1, 800)
    assert [len(upstream(wavs, up_to_layer=last).layers) for last in (0, 1, 2)] == [1, 2, 3]
    for last in (-1, 3):
        with pytest.raises(ValueError, match=f"up_to_layer={last}|layers 0 to 2"):
            upstream(wavs, up_to_layer=last)


@pytest.mark.parametrize(
    ("wavs", "lengths", "error", "message"),
    [
        (torch.zeros(800), None, ValueError, r"float tensor \(B, S\)"),
        (torch.zeros(1, 800, dtype=torch.int16), None, ValueError, "int16"),
        (torch.zeros(2, 800), torch.tensor([800]), ValueError, r"lengths must be \(2,\)"),
        (torch.zeros(1, 800), torch.tensor([801]), ValueError, "beyond the 800 samples"),
        (torch.zeros(2, 800), torch.tensor([800, 159]), AudioError, r"Item 1 has 159 samples; .* at least 160 \(10 ms"),
    ],
)
def test_inputs_that_are_none(
    wavs: torch.Tensor, lengths: torch.Tensor | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        toy()(wavs, lengths)


def test_the_shortest_input_has_a_frame() -> None:
    for upstream in (toy(), toy(160, 400), toy(160, 400, edge=200)):
        assert upstream.num_frames(upstream.min_samples) >= 1
    assert toy(160, 400, edge=200).min_samples == 201  # mirroring 200 samples needs one more
    assert toy().frame_rate_hz == 100.0
