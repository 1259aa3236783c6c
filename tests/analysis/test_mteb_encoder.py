"""An encoder as MTEB calls it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from audiossl import AudioEmbedder
from audiossl.analysis.mteb_encoder import MtebEncoder
from audiossl.core.errors import AudioError, ConfigError


def test_batches_of_any_rate_and_channels_become_vectors() -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    encoder = MtebEncoder(AudioEmbedder("log_mel", pool="statistics"))
    batches = [
        {"audio": [{"array": sound, "sampling_rate": 16000}, {"array": np.stack([sound] * 2), "sampling_rate": 16000}]},
        {"audio": [{"array": sound.astype(float), "sampling_rate": 8000}], "text": ["not read"]},
    ]
    vectors = encoder.encode(batches, task_metadata=None, hf_split="test", hf_subset="default")
    assert vectors.shape == (3, len(encoder.embedder.get_feature_names_out()))
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    np.testing.assert_array_equal(vectors[0], encoder.embedder.transform([sound])[0])
    assert not np.allclose(vectors[0], vectors[2], atol=1e-2)
    alike = encoder.similarity(vectors, vectors)
    assert alike.shape == (3, 3)
    torch.testing.assert_close(alike.diagonal(), torch.ones(3))
    torch.testing.assert_close(encoder.similarity_pairwise(vectors, vectors[::-1].copy())[1], torch.tensor(1.0))
    with pytest.raises(AudioError, match="MTEB gives text, and no audio"):
        encoder.encode([{"text": ["a"]}])


def test_what_mteb_wants_to_know() -> None:
    encoder = MtebEncoder("log_mel")
    if importlib.util.find_spec("mteb") is None:
        with pytest.raises(ConfigError, match=r"pip install mteb\[audio\]"):
            _ = encoder.mteb_model_meta
        return
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.modalities, meta.embed_dim) == ("audiossl/log_mel", ["audio"], 80)
