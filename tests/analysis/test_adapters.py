"""Encoders as HEAR and X-ARES want them."""

from __future__ import annotations

import pytest
import torch

from audiossl import load_upstream
from audiossl.analysis import adapters
from audiossl.analysis.adapters import XaresEncoder
from audiossl.core.errors import AudioError, ConfigError
from audiossl.data.frame_labels import first_centre_s

SMALL = {"weights": "random", "width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 16}


@pytest.fixture(scope="module")
def sounds() -> torch.Tensor:
    return 0.1 * torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))


def test_embeddings_of_timestamps_lie_at_the_centres_of_frames(sounds: torch.Tensor) -> None:
    model = adapters.load_model("tera", **SMALL)
    upstream = model.upstream
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (16000, 16, 16)
    embeddings, times = adapters.get_timestamp_embeddings(sounds, model)
    assert embeddings.shape == (2, upstream.num_frames(8000), 16) and times.shape == embeddings.shape[:2]
    assert embeddings.dtype == times.dtype == torch.float32 and not embeddings.requires_grad
    torch.testing.assert_close(times[1, 0], torch.tensor(1000 * first_centre_s(upstream)))
    torch.testing.assert_close(times.diff(), torch.full((2, times.shape[1] - 1), 1000 / upstream.frame_rate_hz))
    scenes = adapters.get_scene_embeddings(sounds, model)
    torch.testing.assert_close(scenes, upstream(sounds).layers[-1].mean(1))
    hour = model.frame_times_ms(360_000)
    assert float(hour[-1]) == pytest.approx(1000 * (first_centre_s(upstream) + 359_999 * 0.01), abs=1e-6)


def test_a_click_is_where_its_timestamp_says() -> None:
    model = adapters.load_model("log_mel")
    audio = torch.zeros(1, 16000)
    audio[0, 8000:8010] = 1.0
    embeddings, times = adapters.get_timestamp_embeddings(audio, model)
    loudest = times[0, embeddings[0].mean(-1).argmax()]
    assert abs(float(loudest) - 500) < 1000 / model.upstream.frame_rate_hz


def test_layers_are_joined_and_padding_changes_nothing(sounds: torch.Tensor) -> None:
    upstream = load_upstream("tera", **SMALL)
    encoder = XaresEncoder(upstream, layer="0,2").train()
    assert (encoder.sampling_rate, encoder.hop_size_in_ms, encoder.training) == (16000, 10.0, False)
    both = encoder(sounds, torch.tensor([8000, 5000]))
    alone = encoder(sounds[1, :5000])
    assert encoder.output_dim == both.shape[-1] == sum(upstream.widths[layer] for layer in (0, 2))
    torch.testing.assert_close(both[1, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder(sounds[0])[0], torch.cat([upstream(sounds).layers[n][0] for n in (0, 2)], -1))
    with pytest.raises(AudioError, match="needs at least"):
        encoder(torch.zeros(1, 10))
    with pytest.raises(ConfigError, match="layer"):
        XaresEncoder(upstream, layer="9")
