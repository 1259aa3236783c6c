"""A long recording in chunks: every frame once, the stem as in the whole, memory that does not grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys.core import ROOT, TINY_TERA

from audiossl import Upstream, load_upstream
from audiossl.core.errors import AudioError, ConfigError
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import cut_blocks, num_samples_of, read_cut
from audiossl.encoders.long_audio import encode_long, plan
from audiossl.encoders.testing import relative_distance
from audiossl.encoders.weights import save_upstream

TINY = {
    "conv_widths": (16, 16, 16),
    "conv_kernels": (10, 8, 4),
    "conv_strides": (5, 4, 4),
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "ffn_width": 32,
    "position_kernel": 16,
    "position_groups": 2,
}
LARGE = {**TINY, "conv_norm": "layer", "conv_bias": True, "pre_norm": True, "normalize": "layer_norm"}
ENCODERS = {
    "base": ("wav2vec2", TINY),
    "normalised": ("wav2vec2", {**TINY, "normalize": "huggingface", "conv_bias": True}),
    "large": ("wav2vec2", LARGE),
    "wavlm": ("wavlm", TINY),
    "data2vec": ("data2vec", {**TINY, "position_depth": 2}),
}


def encoder(kind: str) -> Upstream:
    name, options = ENCODERS[kind]
    return load_upstream(name, weights="random", **options)


def recording(seconds: float, seed: int = 0) -> Tensor:
    """Noise that grows, with an offset: its parts have other statistics than the whole."""
    samples = round(16000 * seconds)
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    return 0.05 + noise * torch.linspace(0.02, 0.3, samples)


def joined(chunks: Any) -> list[Tensor]:
    """The layers of all chunks as one (T, D) each; every frame must come once and in order."""
    upcoming, layers = 0, []
    for first, features in chunks:
        assert first == upcoming
        upcoming += int(features.lengths[0])
        layers.append(features.item(0))
        assert {len(state) for state in layers[-1]} == {int(features.lengths[0])}
    return [torch.cat(parts) for parts in zip(*layers, strict=True)]


@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 29))
def test_the_plan_keeps_every_frame_once_with_its_context(frames: int, size: int, half: int) -> None:
    shared = 2 * min(half, (size - 1) // 2)
    chunks = list(plan(frames, size, shared))
    assert [chunk.first for chunk in chunks] == [0, *(chunk.last for chunk in chunks[:-1])]
    assert chunks[-1].last == chunks[-1].stop == frames
    for chunk in chunks:
        assert chunk.stop - chunk.start == min(size, frames)
        assert chunk.first - chunk.start >= (shared // 2 if chunk.start else 0)
        assert chunk.stop - chunk.last >= (shared // 2 if chunk.stop < frames else 0)
        assert chunk.first < chunk.last


@pytest.mark.parametrize("kind", ENCODERS)
def test_stem_and_position_are_exact_and_the_blocks_close(kind: str) -> None:
    upstream, wav = encoder(kind), recording(9.3)
    with torch.inference_mode():
        whole = [layer[0] for layer in upstream(wav[None]).layers]
    found = joined(encode_long(upstream, wav, chunk_s=2, overlap_s=0.5))
    assert [layer.shape for layer in found] == [layer.shape for layer in whole]
    assert relative_distance(found[0], whole[0]) < 2e-6
    assert max(map(relative_distance, found, whole)) < 0.02
    stopped = joined(encode_long(upstream, wav, chunk_s=2, overlap_s=0.5, up_to_layer=1))
    assert all(map(torch.equal, stopped, found[:2]))


@pytest.mark.parametrize("name", ["log_mel", "spectrogram"])
def test_an_encoder_that_looks_no_further_than_its_window_is_exact(name: str) -> None:
    upstream, wav = load_upstream(name), recording(5.1)
    found = joined(encode_long(upstream, wav, chunk_s=1, overlap_s=0.1))
    assert torch.allclose(found[0], upstream(wav[None]).layers[0][0], atol=1e-5)


@pytest.mark.parametrize("kind", ["base", "large"])
def test_what_one_chunk_holds_is_what_the_upstream_gives(kind: str) -> None:
    upstream = encoder(kind)
    for samples in (upstream.min_samples, 16001):
        wav = recording(2)[:samples]
        with torch.inference_mode():
            whole = [layer[0] for layer in upstream(wav[None]).layers]
        assert max(map(relative_distance, joined(encode_long(upstream, wav)), whole)) < 1e-6


def test_number_of_frames_at_awkward_lengths() -> None:
    upstream = encoder("base")
    for samples in (32000, 32001, 32079, 32080, 48234):
        for overlap_s in (0.0, 0.33):
            found = joined(encode_long(upstream, recording(4)[:samples], chunk_s=0.7, overlap_s=overlap_s))
            assert len(found[0]) == upstream.num_frames(samples)


@pytest.mark.parametrize("rate_hz", [16000, 44100, 8000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_blocks_of_a_file_are_the_file(tmp_path: Path, rate_hz: int, suffix: str) -> None:
    path = tmp_path / f"sound.{suffix}"
    samples = 0.1 * np.random.default_rng(0).standard_normal((rate_hz * 2 + 123, 2))
    soundfile.write(path, samples, rate_hz)
    (cut,) = cuts_of([str(path)])
    whole = read_cut(cut, 16000)
    blocks = list(cut_blocks(cut, 16000, block_s=0.3))
    assert len(blocks) > 3
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert num_samples_of(cut, 16000) == len(whole)
    part = cut.truncate(offset=0.5, duration=0.75)
    np.testing.assert_array_equal(np.concatenate(list(cut_blocks(part, 16000, 0.2))), read_cut(part, 16000))


def test_a_file_a_row_and_samples_give_the_same(tmp_path: Path) -> None:
    path, wav = tmp_path / "sound.wav", recording(5)
    soundfile.write(path, wav.numpy(), 16000, subtype="FLOAT")
    upstream = encoder("base")
    lengths = {"chunk_s": 2.0, "overlap_s": 0.5}
    expected = joined(encode_long(upstream, wav, **lengths))
    for source in (path, str(path), cuts_of([str(path)])[0]):
        assert max(map(relative_distance, joined(encode_long(upstream, source, **lengths)), expected)) < 1e-6


def test_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    upstream, wav = encoder("base"), recording(1)
    for chunk_s, overlap_s in ((1.0, 1.0), (0.0, 0.0), (1.0, -0.5)):
        with pytest.raises(ConfigError, match="longer than the overlap"):
            encode_long(upstream, wav, chunk_s=chunk_s, overlap_s=overlap_s)
    with pytest.raises(AudioError, match="needs at least"):
        encode_long(upstream, wav[:40])
    with pytest.raises(AudioError, match="missing"):
        encode_long(upstream, tmp_path / "no.wav")
    with pytest.raises(ValueError, match="layers 0 to 2"):
        encode_long(upstream, wav, up_to_layer=3)
    with pytest.raises(ConfigError, match="eval"):
        encode_long(encoder("base").train(), wav)


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, str]:
    """Paths of toy encoders, by name."""
    save_upstream(encoder("base"), tmp_path / "base.safetensors")
    save_upstream(load_upstream("tera", weights="random", **TINY_TERA), tmp_path / "tera.safetensors")
    return {name: str(tmp_path / f"{name}.safetensors") for name in ("base", "tera")}


@pytest.mark.parametrize("layer", ["all", "1"])
@pytest.mark.parametrize("pool", ["none", "mean"])
def test_embed_in_chunks(
    audiossl: Callable[..., Any], saved: dict[str, str], tmp_path: Path, layer: str, pool: str
) -> None:
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for number, seconds in enumerate((4.0, 0.5, 3.1)):
        soundfile.write(sounds / f"{number}.wav", recording(seconds, number).numpy(), 16000, subtype="FLOAT")
    options = ("--layer", layer, "--pool", pool, "--json")
    whole, parts, folder = tmp_path / "whole.npz", tmp_path / "parts.npz", tmp_path / "folder"
    assert audiossl("embed", saved["base"], sounds, "--out", whole, *options).code == 0
    chunks = ("--chunk-s", "1.5", "--overlap-s", "0.5")
    summary = json.loads(audiossl("embed", saved["base"], sounds, "--out", parts, *options, *chunks).out)
    assert summary["num_recordings"] == 3
    audiossl("embed", saved["base"], sounds, "--out", folder, *options, *chunks)
    expected, found = np.load(whole), np.load(parts)
    assert sorted(found) == sorted(expected) == ["0", "1", "2"]
    for name in expected:
        assert found[name].shape == expected[name].shape
        assert relative_distance(torch.tensor(found[name]), torch.tensor(expected[name])) < 0.02
        np.testing.assert_array_equal(np.load(folder / f"{name}.npz")[name], found[name])
    assert not list(tmp_path.rglob(".*"))  # nothing temporary is left


def test_embed_in_bf16_and_its_mistakes(audiossl: Callable[..., Any], saved: dict[str, str], tmp_path: Path) -> None:
    sound, out = tmp_path / "sound.wav", tmp_path / "x.npz"
    soundfile.write(sound, recording(1).numpy(), 16000)
    for name in saved.values():
        audiossl("embed", name, sound, "--out", tmp_path / "fp32.npz")
        assert audiossl("embed", name, sound, "--out", tmp_path / "bf16.npz", "--precision", "bf16").code == 0
        a, b = (torch.tensor(np.load(tmp_path / f"{kind}.npz")["sound"]) for kind in ("bf16", "fp32"))
        assert 1e-4 < relative_distance(a, b) < 0.05
    for arguments, message in (
        (("--chunk-s", "1", "--overlap-s", "2"), "longer than the overlap"),
        (("--engine", "fast"), "the engines are"),
        (("--precision", "fp16"), "the precisions fp32"),
    ):
        done = audiossl("embed", saved["base"], sound, "--out", out, *arguments)
        assert (done.code, message in done.err, out.exists()) == (2, True, False)


# VmHWM, not ru_maxrss: the latter begins with what the process that starts it has used.
PROGRAM = """
import re, sys, torch
from pathlib import Path
from audiossl import load_upstream
from audiossl.encoders.long_audio import encode_long
torch.set_num_threads(1)
upstream = load_upstream("wav2vec2", weights="random", num_layers=1)
frames = sum(int(features.lengths[0]) for _, features in encode_long(upstream, sys.argv[1], chunk_s=20, overlap_s=4))
print(frames, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""

# glibc gives every tensor its own mapping, so that freed memory never stays with the process by chance.
RETURNED_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    peaks = []
    for minutes in (1, 2):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for seed in range(minutes):
                file.write(recording(60, seed).numpy())
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **RETURNED_AT_ONCE}
        command = [sys.executable, "-c", PROGRAM, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        frames, peak_kb = map(int, done.stdout.split())
        assert frames == (minutes * 60 * 16000 - 400) // 320 + 1
        peaks.append(peak_kb)
    assert peaks[1] < 1.05 * peaks[0]
    assert peaks[1] < 2e6


@pytest.mark.slow
def test_stated_tolerance_on_speech() -> None:
    """docs/speed.md states it: 30 s chunks with 5 s shared, a base-size encoder, further than 2 s from a seam."""
    folder = Path(os.environ.get("AUDIOSSL_DATA", "")) / "libri_mini"
    if not folder.is_dir():
        pytest.skip("needs $AUDIOSSL_DATA/libri_mini")
    paths = sorted(folder.rglob("*.flac"))[:10]
    wav = torch.from_numpy(np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths]))[: 60 * 16000]
    upstream = load_upstream("wav2vec2", weights="random")
    with torch.inference_mode():
        whole = [layer[0] for layer in upstream(wav[None]).layers]
    chunks = list(encode_long(upstream, wav))
    seams = torch.tensor([first for first, _ in chunks[1:]])
    found = joined(chunks)
    distance = (torch.arange(len(found[0]))[:, None] - seams).abs().amin(1)
    away = distance > 2 * upstream.frame_rate_hz
    assert relative_distance(found[0], whole[0]) < 1e-5
    assert max(relative_distance(a[away], b[away]) for a, b in zip(found, whole, strict=True)) < 0.1
