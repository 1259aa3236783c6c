"""BEST-RQ: labels at the encoder's frames, what masked frames become, statistics, faults."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from audiossl import Batch, check_objective, load_objective, load_upstream
from audiossl.core.errors import TrainingError
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.best_rq.objective import BestRqObjective

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
CONVS = {"conv_widths": (8, 8), "conv_kernels": (10, 8), "conv_strides": (10, 32)}
SIZES = {"mel_transformer": TINY, "wav2vec2": {**TINY, **CONVS, "position_kernel": 4, "position_groups": 2}}


def objective(name: str = "mel_transformer", **options: Any) -> BestRqObjective:
    torch.manual_seed(0)
    upstream = load_upstream(name, weights="random", **SIZES[name])
    made = load_objective("best_rq", upstream, **{"num_codes": 16, "code_width": 4, **options})
    assert isinstance(made, BestRqObjective)
    return made


def batch_of(task: BestRqObjective, *seconds: float) -> Batch:
    return Batch(*pad(noise(task.upstream, seconds)))


@pytest.mark.parametrize(("name", "filler"), [("mel_transformer", "embedding"), ("wav2vec2", "noise")])
def test_the_contract_holds_on_spectra_and_on_waveforms(name: str, filler: str) -> None:
    check_objective(objective(name, filler=filler), steps=3)


def test_labels_are_of_the_mel_frames_around_a_frame() -> None:
    task = objective()
    batch = batch_of(task, 0.5, 0.3)
    task.fit([batch])
    labels = task.labels(batch)
    mels = (task.mels(batch.wavs[:1], batch.lengths[:1])[0] - task.band_mean) / task.band_std
    for frame in (0, 7, 25):
        around = [min(max(2 * frame + shift, 0), len(mels) - 1) for shift in (-1, 0, 1, 2)]
        assert int(labels[0, frame]) == int(task.quantizer(mels[around].flatten()))
    alone = task.labels(Batch(batch.wavs[1:, : int(batch.lengths[1])], batch.lengths[1:]))[0]
    assert torch.equal(alone, labels[1, : len(alone)])


def test_masked_frames_are_noise_and_others_are_heard() -> None:
    task = objective(noise_std=0.5).eval()
    batch = batch_of(task, 2.0)
    masked = task.masks(batch)
    made = task._noise(batch, masked, torch.zeros(*masked.shape, 400))
    assert not made[~masked].any()
    assert float(made[masked].std()) == pytest.approx(0.5, rel=0.05)


def test_figures_are_logged_and_it_learns() -> None:
    task = objective(mask_prob=0.4).eval()
    batch = batch_of(task, 0.8, 0.6)
    task.fit([batch])
    logs = task.loss(batch).logs
    assert {"masked_accuracy", "majority", "perplexity", "usage"} <= logs.keys()
    assert float(logs["perplexity"]) > 3
    report = check_objective(objective(mask_prob=0.4), steps=25)
    assert report.losses[-1] < 0.9 * report.losses[0]


def test_bands_that_never_vary_are_refused() -> None:
    task = objective()
    with pytest.raises(TrainingError, match=r"80 of 80 mel bands \(the first is number 0\) never vary"):
        task.fit([Batch(torch.zeros(1, 8000), torch.tensor([8000]))])
