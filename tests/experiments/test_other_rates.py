"""Encoders at other rates than 16 kHz: built, pre-trained on the toy corpus, loaded and converted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from toys.core import TINY_TERA
from toys.heads import log_of
from toys.miniatures import TOY
from toys.tera import short_pretraining

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.conversion import convert
from audiossl.experiments.building import build_objective
from audiossl.experiments.training import pretrain

# Half the stride in the last convolution: frames come as often as at 16 kHz.
WAVEFORM_8K = {**TOY, "sample_rate_hz": 8000, "conv_strides": (5, 2, 2, 2, 2, 2, 1), "layer_drop": 0.0}
HUBERT = {"clusters": 6, "projection_width": 8, "mask_span": 3}


@pytest.mark.parametrize(
    ("upstream", "objective", "options", "objective_options", "frame_rate_hz"),
    [
        ("tera", "tera", {**TINY_TERA, "sample_rate_hz": 8000, "num_mels": 64}, {}, 100),
        ("tera", "tera", {**TINY_TERA, "sample_rate_hz": 32000}, {}, 100),
        ("hubert", "hubert", WAVEFORM_8K, HUBERT, 50),
    ],
    ids=["tera at 8 kHz", "tera at 32 kHz", "hubert at 8 kHz"],
)
def test_an_encoder_at_another_rate_is_pre_trained(
    corpus: Path,
    tmp_path: Path,
    upstream: str,
    objective: str,
    options: dict[str, Any],
    objective_options: dict[str, Any],
    frame_rate_hz: float,
) -> None:
    config = dataclasses.replace(
        short_pretraining(corpus, "trainer.steps=3", f"objective={objective}"),
        upstream=upstream,
        upstream_options=options,
        objective_options=objective_options,
    )
    run = pretrain(config, tmp_path / "run")
    assert all(0 < line["loss"] < 100 for line in log_of(run))
    made = load_upstream(str(run))
    assert (made.sample_rate_hz, made.frame_rate_hz) == (options["sample_rate_hz"], frame_rate_hz)
    check_upstream(made)
    if upstream == "hubert":
        convert(str(run), tmp_path / "folder")
        assert json.loads((tmp_path / "folder" / "preprocessor_config.json").read_text())["sampling_rate"] == 8000


def test_what_is_too_short_at_a_rate_is_said_before_anything_is_read(corpus: Path) -> None:
    slow = {**TOY, "sample_rate_hz": 4000}  # 12.5 frames a second
    config = dataclasses.replace(
        short_pretraining(corpus, "objective=hubert", "data.max_crop_s=0.5"), upstream="hubert", upstream_options=slow
    )
    message = r"Objective 'hubert' learns nothing from less than 0\.82 s of sound, and data\.max_crop_s=0\.5; set at"
    with pytest.raises(ConfigError, match=message):
        build_objective(config)
    with pytest.raises(ConfigError, match=r"sample_rate_hz=0 must be at least 1"):
        load_upstream("hubert", weights="random", sample_rate_hz=0)
