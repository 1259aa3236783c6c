"""Hidden states of recordings as files, from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from audiossl import load_upstream
from audiossl.cli.main import app
from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.inputs import cuts_of
from audiossl.encoders.config import EmbedOptions
from audiossl.encoders.embedding import embed_inputs, embed_rows


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number, seconds in enumerate((1.3, 0.4, 0.9)):
        sound = 0.1 * np.random.default_rng(number).standard_normal(round(16000 * seconds))
        soundfile.write(folder / f"{number}.wav", sound, 16000, subtype="FLOAT")
    return folder


def test_chosen_layers_of_an_encoder_that_is_there(sounds: Path, tmp_path: Path) -> None:
    upstream = load_upstream("tera_mini")
    made = embed_rows(upstream, cuts_of([str(sounds)]), tmp_path / "x.npz", EmbedOptions(layer="0,-2--1", batch_size=2))
    assert (made.num_recordings, made.layers) == (3, [0, 2, 3])
    found = np.load(tmp_path / "x.npz")
    sound, _ = soundfile.read(sounds / "1.wav", dtype="float32")
    whole = torch.stack(upstream(torch.from_numpy(sound)[None]).layers)[[0, 2, 3], 0].detach().numpy()
    np.testing.assert_allclose(found["1"], whole, atol=1e-5)


@pytest.mark.parametrize("chunk_s", [0.0, 0.5])
def test_the_mean_over_time_in_one_piece_or_in_chunks(sounds: Path, tmp_path: Path, chunk_s: float) -> None:
    options = EmbedOptions(layer="last", chunk_s=chunk_s, overlap_s=0.2)
    pooled = EmbedOptions(layer="last", pool="mean", chunk_s=chunk_s, overlap_s=0.2)
    for name, chosen in (("frames", options), ("means", pooled)):
        embed_inputs("log_mel", [str(sounds)], tmp_path / name, chosen)
    for number in "012":
        frames, mean = (np.load(tmp_path / name / f"{number}.npz")[number] for name in ("frames", "means"))
        np.testing.assert_allclose(frames.mean(0), mean, atol=1e-4)


def test_options_of_the_encoder(sounds: Path, tmp_path: Path) -> None:
    small = {"weights": "random", "width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 16}
    made = embed_inputs("tera", [str(sounds)], tmp_path / "x.npz", EmbedOptions(layer="-1"), small)
    assert made.layers == [2]
    assert np.load(tmp_path / "x.npz")["0"].shape[1] == 16
    given = [word for key, value in small.items() for word in ("-o", f"{key}={value}")]
    command = ["embed", "tera", str(sounds), "--out", str(tmp_path / "y.npz"), "--layer", "-1", "--json", *given]
    done = CliRunner().invoke(app, command)
    assert json.loads(done.stdout) == {"num_recordings": 3, "layers": [2], "out": str(tmp_path / "y.npz")}
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["0"], np.load(tmp_path / "y.npz")["0"])


def test_mistakes(sounds: Path, tmp_path: Path) -> None:
    upstream, cuts, out = load_upstream("log_mel"), cuts_of([str(sounds)]), tmp_path / "x.npz"
    with pytest.raises(ConfigError, match="--layer 4: this upstream has layers 0 to 0"):
        embed_rows(upstream, cuts, out, EmbedOptions(layer="4"))
    twice = type(cuts).from_cuts([*cuts, *cuts])
    with pytest.raises(ManifestError, match="two rows with the"):
        embed_rows(upstream, twice, out, EmbedOptions())
    with pytest.raises(ManifestError, match="two rows with the same id"):
        embed_rows(upstream, twice, out, EmbedOptions(chunk_s=0.5, overlap_s=0.1))
    assert not out.exists()
