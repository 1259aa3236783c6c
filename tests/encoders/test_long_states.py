"""States and moments of a long recording are those of the whole, where an encoder looks no further than a chunk."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from toys.joined import RATE_HZ, noise
from toys.short_sighted import short_sighted

from audiossl import load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.long_audio import chunk_frames, fitting_chunks, longest_whole_s
from audiossl.encoders.long_states import long_moments, long_states
from audiossl.nn.pooling import statistics_of


def test_all_frames_of_the_layers_that_are_asked_for() -> None:
    upstream = short_sighted()
    wav = torch.from_numpy(noise(7.3))
    found = long_states(upstream, wav, (0, 2))
    upstream.max_samples = None
    whole = upstream(wav[None])
    assert found.lengths.tolist() == whole.lengths.tolist() == [730]
    assert [layer.shape for layer in found.layers] == [(1, 730, 8), (1, 0, 8), (1, 730, 8)]
    for layer in (0, 2):
        torch.testing.assert_close(found.layers[layer], whole.layers[layer], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("deviation", [False, True])
def test_moments_are_those_of_the_whole(tmp_path: Path, deviation: bool) -> None:
    upstream = load_upstream("log_mel")
    sound = noise(95.7) + 0.2  # chunks of 30 s
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    (layer,) = long_moments(upstream, tmp_path / "a.wav", (0,), deviation=deviation).layers
    whole = upstream(torch.from_numpy(sound)[None])
    expected = statistics_of(whole.layers[0], whole.lengths)[:, None]
    torch.testing.assert_close(layer, expected if deviation else expected[..., :80], rtol=1e-5, atol=1e-5)


def test_a_constant_has_the_least_deviation() -> None:
    (layer, *_) = long_moments(short_sighted(), torch.zeros(20000), (0,), deviation=True).layers
    torch.testing.assert_close(layer[0, 0, 8:], torch.full((8,), 1e-5))


def test_chunks_fit_the_encoder() -> None:
    upstream = short_sighted()
    assert longest_whole_s(upstream) == 0.5
    assert fitting_chunks(upstream) == (0.5, pytest.approx(0.5 / 6))
    assert chunk_frames(upstream, *fitting_chunks(upstream)) == (50, 10)
    with pytest.raises(ConfigError, match=r"chunk_s=30: short_sighted reads at most 0\.5 s; take chunk_s=0\.5\."):
        chunk_frames(upstream, 30, 5)
    assert fitting_chunks(load_upstream("log_mel")) == (30, 5)
    assert longest_whole_s(load_upstream("log_mel")) == 600
