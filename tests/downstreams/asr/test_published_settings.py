"""wav2vec 2.0's fine-tuning by name: what the YAMLs say is what was published, and encoders of its family take it."""

from __future__ import annotations

import pytest

from audiossl.encoders.building import build_upstream
from audiossl.encoders.finetuning import make_trainable
from audiossl.encoders.frozen_part import STEM, kept_up_to
from audiossl.encoders.waveform.cards import WAVEFORM_TOY
from audiossl.experiments.config import read_experiment


@pytest.mark.parametrize(
    ("name", "steps", "lr", "masks", "layer_drop", "freeze"),
    [
        ("10min", 13000, 5e-5, (0.65, 0.25), 0.1, 10000),
        ("1h", 13000, 5e-5, (0.65, 0.25), 0.1, 10000),
        ("10h", 20000, 5e-5, (0.65, 0.5), 0.05, 10000),
        ("100h", 80000, 3e-5, (0.65, 0.5), 0.1, 0),
        ("960h", 320000, 1e-4, (0.5, 0.1), 0.1, 0),
    ],
)
def test_figures_are_the_published_ones(
    name: str, steps: int, lr: float, masks: tuple[float, float], layer_drop: float, freeze: int
) -> None:
    config = read_experiment(None, ["downstream=asr", f"setting=finetuning_{name}", "upstream=wav2vec2"])
    options = config.upstream_options
    assert (config.trainer.steps, config.trainer.lr, config.finetune.freeze_steps) == (steps, lr, freeze)
    assert (options["mask_time_prob"], options["mask_feature_prob"], options["layer_drop"]) == (*masks, layer_drop)
    assert config.trainer.warmup_steps == steps // 10
    assert 1 - config.trainer.hold_share - 0.1 == pytest.approx(0.5)
    # The encoder takes the options, and its stem is what stays.
    encoder = build_upstream("wav2vec2", {**WAVEFORM_TOY, **options}, 0)
    make_trainable(encoder, config.finetune)
    assert kept_up_to(encoder) == STEM
