"""`audiossl embed` as a user meets it. `convert` and `export` are in tests/encoders and tests/cli/test_options.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from toys.core import RATE_HZ, TINY_TERA, sound_of

from audiossl import load_upstream
from audiossl.encoders.weights import save_upstream

Cli = Callable[..., Any]


def expected_states(name: str, path: Path) -> np.ndarray:
    samples, _ = soundfile.read(path, dtype="float32")
    with torch.inference_mode():
        return torch.stack([layer[0] for layer in load_upstream(name)(torch.from_numpy(samples)[None]).layers]).numpy()


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    save_upstream(load_upstream("tera", weights="random", **TINY_TERA), tmp_path / "tera.safetensors")
    return str(tmp_path / "tera.safetensors")


@pytest.mark.parametrize("kind", ["file", "folder", "pattern", "manifest"])
def test_embed_writes_what_the_upstream_gives(
    audiossl: Cli, corpus: Path, tmp_path: Path, encoder: str, kind: str
) -> None:
    sounds = corpus.parent / "audio" / "test"
    one = [sounds / "low_2.wav"]
    inputs, paths = {
        "file": (sounds / "low_2.wav", one),
        "folder": (sounds, sorted(sounds.iterdir())),
        "pattern": (sounds / "low_*.wav", sorted(sounds.glob("low_*.wav"))),
        "manifest": (corpus / "test.jsonl.gz", sorted(sounds.iterdir())),
    }[kind]
    done = audiossl("embed", encoder, inputs, "--out", tmp_path / "states.npz", "--json", "--batch-size", 5)
    summary = json.loads(done.out)
    assert (summary["num_recordings"], summary["layers"]) == (len(paths), [0, 1, 2])
    arrays = np.load(tmp_path / "states.npz")
    assert sorted(Path(name).name for name in arrays) == [path.stem for path in paths]
    for name in arrays:
        path = sounds / f"{Path(name).name}.wav"
        np.testing.assert_allclose(arrays[name], expected_states(encoder, path), atol=2e-5)


def test_embed_of_one_layer_pooled_into_a_folder(audiossl: Cli, corpus: Path, tmp_path: Path, encoder: str) -> None:
    sounds, out = corpus.parent / "audio" / "test", tmp_path / "states"
    assert audiossl("embed", encoder, sounds, "--out", out, "--layer", "1", "--pool", "mean").code == 0
    assert len(list(out.glob("*.npz"))) == 12
    found = np.load(out / "high_1.npz")["high_1"]
    expected = expected_states(encoder, sounds / "high_1.wav")[1].mean(0)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    last = tmp_path / "last.npz"
    audiossl("embed", encoder, sounds / "high_1.wav", "--out", last, "--layer", "last")
    np.testing.assert_allclose(np.load(last)["high_1"], expected_states(encoder, sounds / "high_1.wav")[2], atol=2e-5)


def test_embed_takes_any_name_and_writes_only_into_its_folder(audiossl: Cli, tmp_path: Path) -> None:
    places = [tmp_path / "a" / "file.wav", tmp_path / "b" / "file.wav"]
    for seed, path in enumerate(places):
        path.parent.mkdir()
        soundfile.write(path, sound_of("noise", seed), RATE_HZ)
    audiossl("embed", "log_mel", places[0], "--out", tmp_path / "one.npz")
    assert np.load(tmp_path / "one.npz")["file"].shape[-1] == 80  # a name that is also numpy.savez's own keyword
    out = tmp_path / "out"
    assert audiossl("embed", "log_mel", *places, "--out", out).code == 0  # equal names: ids are absolute paths
    assert len(list(out.rglob("*.npz"))) == 2
    assert not list((tmp_path / "a").glob("*.npz"))
