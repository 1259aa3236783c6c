"""Bandwidth front ends: their frames, what they let an encoder hear, long recordings, fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet
from toys.bandwidth import RATE, tone

from audiossl.core.errors import ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.data.sources import cuts_from_files
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable, set_training_mode
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.long_audio import encode_long
from audiossl.encoders.testing import check_upstream, relative_distance
from audiossl.encoders.weights import save_upstream
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.features.identity import code_modules
from audiossl.upstreams.bandwidth.bands import Bands

torch.set_num_threads(1)
MODES = ("resample", "time_expand", "band_split")
SMALL = {"conv_widths": [16] * 7, "width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
SMALL |= {"position_kernel": 16, "position_groups": 2}


def bandwidth(mode: str = "time_expand", encoder: str = "tera_mini", **options: Any) -> Any:
    return load_upstream("bandwidth", mode=mode, encoder=encoder, **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("encoder", "options", "rate"),
    [
        ("tera_mini", {}, 32000),
        ("log_mel", {}, 44100),
        ("wav2vec2", {**SMALL, "weights": "random"}, 32000),
        ("wav2vec2", {**SMALL, "weights": "random"}, 44100),
    ],
)
def test_contract(mode: str, encoder: str, options: dict[str, Any], rate: int) -> None:
    upstream = bandwidth(mode, encoder, encoder_options=options, sample_rate_hz=rate)
    assert check_upstream(upstream, seconds=(0.11, 0.3, 0.21)).padding_error <= 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_facts(mode: str) -> None:
    upstream, inner = bandwidth(mode), load_upstream("tera_mini")
    assert upstream.sample_rate_hz == RATE
    assert upstream.frame_rate_hz == {"resample": 100, "time_expand": 200, "band_split": 100}[mode]
    assert upstream.stride == {"resample": 320, "time_expand": 160, "band_split": 320}[mode]
    assert upstream.widths == tuple(width * (2 if mode == "band_split" else 1) for width in inner.widths)
    heard = 1 if mode == "time_expand" else 2
    for num_samples in range(upstream.min_samples, upstream.min_samples + 700):
        assert upstream.num_frames(num_samples) == inner.num_frames(-(-num_samples // heard))


@pytest.mark.parametrize("mode", MODES)
def test_receptive_field(mode: str) -> None:
    """A frame of log mel, which looks at nothing but its window, changes with a sample inside the field alone."""
    upstream = bandwidth(mode, "log_mel", encoder_options={"num_features": 20})
    frame, field = 10, upstream.receptive_field
    centre = frame * upstream.stride
    wav = 0.1 * torch.randn(1, 12000, generator=torch.Generator().manual_seed(0))
    before = upstream(wav).layers[0][0, frame]

    def change(sample: int) -> float:
        other = wav.clone()
        other[0, sample] += 0.5
        return float((upstream(other).layers[0][0, frame] - before).abs().max())

    assert change(centre - field // 2 - 2) == change(centre + field // 2 + 2) == 0.0
    assert change(centre - field // 2 + 200) > 1e-6
    assert change(centre + field // 2 - 200) > 1e-6


@pytest.mark.parametrize("encoder", ["tera_mini", "log_mel"])
def test_a_tone_of_12_khz_is_heard_in_time_expand_and_band_split_alone(encoder: str) -> None:
    noise = 0.01 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    # Faded in and out: a tone that begins at once has all frequencies at its ends.
    wavs = torch.stack([noise, noise + 0.1 * tone(12000) * torch.hann_window(RATE)])
    changes = {}
    for mode in MODES:
        for layer in load_upstream("bandwidth", encoder=encoder, mode=mode)(wavs).layers[-1:]:
            changes[mode] = relative_distance(layer[1], layer[0])
    assert changes["resample"] < 2e-3
    assert changes["time_expand"] > 0.1
    assert changes["band_split"] > 0.1


def test_sweep_lands_where_it_should() -> None:
    """log mel of a sweep from 0 to 16 kHz: its highest band goes up once, in time_expand over the whole second."""
    seconds = torch.arange(RATE, dtype=torch.float64) / RATE
    sweep = torch.sin(2 * torch.pi * 8000 * seconds**2).float()[None]

    def highest(mode: str, part: slice = slice(None)) -> torch.Tensor:
        return bandwidth(mode, "log_mel")(sweep).layers[0][0, :, part].argmax(dim=-1)

    expanded = highest("time_expand")
    assert (expanded[5:-5].diff() >= 0).float().mean() > 0.95
    assert expanded[-6] > 75
    lower, upper = highest("band_split", slice(0, 80)), highest("band_split", slice(80, 160))
    half = len(lower) // 2
    assert (lower[3 : half - 3].diff() >= 0).all()
    assert (upper[half + 3 : -3].diff() >= 0).all()
    assert upper[-4] > 75


def test_stream_gives_what_forward_gives() -> None:
    for bands in (Bands(44100, 16000), Bands(RATE, 16000, bands=2)):
        wav = torch.randn(20011, generator=torch.Generator().manual_seed(0))
        whole = bands(wav[None], torch.tensor([20011]))[0]
        parts = torch.cat(list(bands.stream(wav.split(1234))), dim=1)
        assert parts.shape == whole.shape
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_long_recordings_in_chunks(mode: str) -> None:
    upstream = bandwidth(mode, "wav2vec2", encoder_options=SMALL, weights="random")
    wav = 0.1 * torch.randn(5 * RATE, generator=torch.Generator().manual_seed(0))
    whole = upstream(wav[None]).layers[0][0]
    parts = torch.cat([part.layers[0][0] for _, part in encode_long(upstream, wav, chunk_s=2, overlap_s=1)])
    assert parts.shape == whole.shape
    if mode != "band_split":  # which normalises each part by itself, as documented
        assert relative_distance(parts, whole) < 1e-4


def test_random_weights_are_the_encoders() -> None:
    pretrained, drawn = bandwidth(), bandwidth(weights="random", seed=3)
    inner = load_upstream("tera_mini", weights="random", seed=3)
    assert fingerprint(pretrained) != fingerprint(drawn)
    assert fingerprint(drawn.encoder) == fingerprint(inner)
    assert fingerprint(pretrained.encoder) == fingerprint(load_upstream("tera_mini"))


def test_saved_and_loaded(tmp_path: Path) -> None:
    upstream = bandwidth("band_split")
    with torch.no_grad():
        upstream.encoder.project.weight.mul_(1.5)
    save_upstream(upstream, tmp_path / "mine.safetensors")
    again = load_upstream(str(tmp_path / "mine.safetensors"))
    assert fingerprint(again) == fingerprint(upstream)
    wav = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(wav).layers[-1], upstream(wav).layers[-1])
    drawn = load_upstream(str(tmp_path / "mine.safetensors"), weights="random", seed=1)
    assert not torch.equal(drawn.encoder.blocks[0].qkv.weight, upstream.encoder.blocks[0].qkv.weight)


def test_cache_is_keyed_by_mode_encoder_and_their_code(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), RATE)
    cuts: CutSet = cuts_from_files([tmp_path / "a.wav"], ["a"])
    folders = set()
    for options in ({}, {"mode": "band_split"}, {"mode": "resample"}, {"weights": "random"}, {"encoder": "log_mel"}):
        upstream = load_upstream("bandwidth", **options)
        cache = CacheConfig(dir=str(tmp_path / "cache"), dtype="fp32")
        source = open_source(upstream, fingerprint(upstream), cache, "frames", layers=range(upstream.num_layers))
        first, again = source.batch(list(cuts)).features, source.batch(list(cuts)).features
        assert first is not None
        assert again is not None
        expected = upstream(torch.from_numpy(cuts[0].load_audio())).layers[-1]
        torch.testing.assert_close(again.layers[-1], expected, atol=1e-5, rtol=1e-5)
        folders.add(str(source.store.folder))
        source.store.close()
    assert len(folders) == 5
    modules = code_modules(bandwidth("band_split"))
    assert {"audiossl.upstreams.bandwidth.bands", "audiossl.upstreams.tera.model"} <= set(modules)


@pytest.mark.parametrize("mode", ["norm_and_bias", "top_k", "all"])
def test_fine_tuning_reaches_the_encoder(mode: Any) -> None:
    options = {**SMALL, "layer_drop": 0.0}  # the one block that trains must not be left out
    upstream = bandwidth("band_split", "wav2vec2", encoder_options=options, weights="random")
    make_trainable(upstream, FinetuneConfig(mode=mode, top_k=1))
    names = {name for name, parameter in upstream.named_parameters() if parameter.requires_grad}
    assert names
    assert not any(name.startswith("encoder.stem.") for name in names)
    if mode == "top_k":
        assert all(name.startswith("encoder.blocks.1.") for name in names)
    set_training_mode(upstream, True)
    assert not upstream.encoder.stem.training
    upstream(torch.randn(2, 4000)).layers[-1].square().sum().backward()
    assert any(bool(parameter.grad.any()) for parameter in upstream.parameters() if parameter.grad is not None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_rate_hz": 8000}, r"sample_rate_hz=8000 is below the 16000 Hz of tera_mini"),
        ({"mode": "band_split", "bands": 3}, r"bands=3: 32000 Hz hold at most 2 band\(s\) of 8000 Hz"),
        ({"mode": "resample", "sample_rate_hz": 22050}, r"every 220\.5 samples.*a multiple of 100 Hz"),
        ({"mode": "slow"}, "mode"),
        (
            {"encoder": "wav2vec2", "weights": "random", "encoder_options": {**SMALL, "padding": "legacy"}},
            r"encoder_options\.padding=legacy",
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_upstream("bandwidth", **options)
