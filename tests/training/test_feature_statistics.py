"""Mean and standard deviation of an encoder's input over its training data."""

from __future__ import annotations

import pytest
import torch

from audiossl import Batch, load_upstream
from audiossl.core.errors import TrainingError
from audiossl.encoders.testing import noise, pad
from audiossl.training.feature_statistics import fit_features, needs_statistics


def test_they_are_of_the_real_frames_alone() -> None:
    tera = load_upstream(
        "tera", weights="random", width=16, num_layers=1, num_heads=2, ffn_width=16, normalize="global"
    )
    assert needs_statistics(tera)
    wavs = noise(tera, [0.3, 0.5, 0.2])
    batches = [Batch(*pad(wavs[:2])), Batch(*pad(wavs[2:]))]
    fit_features(tera, batches)
    frames = torch.cat([tera.local_features(wav[None], torch.tensor([len(wav)]), normalized=False)[0] for wav in wavs])  # type: ignore[operator]
    assert not needs_statistics(tera)
    torch.testing.assert_close(tera.feature_mean, frames.mean(0), rtol=1e-5, atol=1e-5)  # type: ignore[arg-type]
    torch.testing.assert_close(tera.feature_std, frames.std(0, correction=0), rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize(("wavs", "words"), [([], "no frames"), ([torch.zeros(1, 8000)], "the same")])
def test_nothing_to_take_statistics_of(wavs: list[torch.Tensor], words: str) -> None:
    tera = load_upstream(
        "tera", weights="random", width=16, num_layers=1, num_heads=2, ffn_width=16, normalize="global"
    )
    with pytest.raises(TrainingError, match=words):
        fit_features(tera, [Batch(wav, torch.tensor([wav.shape[1]])) for wav in wavs])
