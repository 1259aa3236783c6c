"""An encoder in pipelines of scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audiossl import AudioEmbedder, load_upstream
from audiossl.core.errors import AudioError, ConfigError
from audiossl.encoders.upstream import Upstream

SMALL = {"weights": "random", "width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 16}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """High and low tones, in turn."""
    folder, made = tmp_path_factory.mktemp("tones"), []
    for number in range(12):
        draw = np.random.default_rng(number)
        seconds = np.arange(round(16000 * draw.uniform(0.3, 0.6))) / 16000
        tone = np.sin(2 * np.pi * (300 if number % 2 else 2000) * draw.uniform(0.9, 1.1) * seconds)
        made.append(str(folder / f"{number}.wav"))
        soundfile.write(made[-1], 0.1 * tone + 0.01 * draw.standard_normal(len(tone)), 16000, subtype="FLOAT")
    return made


@pytest.mark.parametrize("pool", ["mean", "statistics"])
def test_files_and_arrays_give_the_frames_of_the_encoder(paths: list[str], tmp_path: Path, pool: Any) -> None:
    made = AudioEmbedder("tera", layer="0,2", pool=pool, options=SMALL, cache_dir=str(tmp_path)).fit(paths)
    sounds = [soundfile.read(path, dtype="float32")[0] for path in paths[:3]]
    vectors = made.transform([paths[1], paths[0], sounds[2], paths[1]])
    with torch.no_grad():
        states = [made.encoder_(torch.from_numpy(sounds[n])[None]).item(0) for n in (1, 0, 2, 1)]
    for vector, layers in zip(vectors, states, strict=True):
        chosen = [layers[0], layers[2]]
        parts = [[x.mean(0), x.std(0)][: 1 + (pool == "statistics")] for x in chosen]
        expected = torch.cat([part for both in parts for part in both]).numpy()
        np.testing.assert_allclose(vector, expected, atol=2e-4)
    assert vectors.shape == (4, len(made.get_feature_names_out()))
    assert made.get_feature_names_out()[-1] == f"layer2_{'mean' if pool == 'mean' else 'std'}_15"


def test_cross_validation_runs_the_encoder_once(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    whole = Upstream.forward

    def counted(self: Upstream, wavs: torch.Tensor, *rest: Any, **more: Any) -> Any:
        heard.append(len(wavs))
        return whole(self, wavs, *rest, **more)

    monkeypatch.setattr(Upstream, "forward", counted)
    pipeline = make_pipeline(AudioEmbedder("log_mel", cache_dir=str(tmp_path)), StandardScaler(), LogisticRegression())
    labels = ["low" if number % 2 else "high" for number in range(12)]
    scores = cross_val_score(clone(pipeline), paths, labels, cv=3)
    assert scores.mean() == 1.0
    assert sum(heard) == len(paths)
    again = pipeline.fit(np.array(paths, object)[:, None], labels)  # a table with one column
    assert list(again.predict(paths)) == labels
    assert sum(heard) == len(paths)


def test_it_is_cloned_and_shown_by_its_parameters(tmp_path: Path) -> None:
    made = AudioEmbedder("log_mel", layer="last", pool="statistics", cache_dir=str(tmp_path))
    again = clone(made)
    assert again.get_params() == made.get_params()
    assert "statistics" in repr(again)
    encoder = load_upstream("log_mel")
    sound = np.ones(8000, np.float32)
    assert AudioEmbedder(encoder).fit([sound]).transform([sound]).shape == (1, encoder.widths[-1])
    assert AudioEmbedder(encoder).fit([]).transform([]).shape == (0, encoder.widths[-1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a.wav", "Give a list of recordings"),
        ([3], "Recording 0 is int64 of shape"),
        ([np.zeros((2, 100), np.float32)], r"shape \(2, 100\), neither a path"),
        ([np.full(100, np.nan)], "Recording 0 has NaN"),
        (["missing.wav"], "missing.wav"),
        (["."], "is a folder"),
        ([""], "Recording 0 has an empty path"),
        (np.array([["a.wav", "x"]], object), "The table has 2 columns; give the one with the paths"),
    ],
)
def test_what_is_no_recording(given: Any, said: str, tmp_path: Path) -> None:
    made = AudioEmbedder("log_mel", cache_dir=str(tmp_path)).fit(None)
    with pytest.raises(AudioError, match=said):
        made.transform(given)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="pool='max': choose mean or statistics"):
        AudioEmbedder("log_mel", pool="max").fit([])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="layer 7: this upstream has layers"):
        AudioEmbedder("log_mel", layer="7").fit([])
