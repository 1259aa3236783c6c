"""Folders for transformers: what they say of an encoder is what is read from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.waveform.cards import WAVEFORM_TOY
from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.encoders.waveform.recognition import FAMILIES
from audiossl.encoders.waveform.to_transformers import write_folder

LARGE = {"conv_norm": "layer", "pre_norm": True, "normalize": "layer_norm"}


@pytest.mark.parametrize("options", [{}, LARGE, {"adapter_width": 4, "mask_embedding": False}])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_reads_as_the_encoder_that_wrote_it(family: str, options: dict[str, Any], tmp_path: Path) -> None:
    data2vec = {"position_kernel": 9, "position_depth": 3, "pre_norm": False} if family == "data2vec" else {}
    made = load_upstream(family, weights="random", **{**WAVEFORM_TOY, **options, **data2vec})
    write_folder(made, tmp_path / "folder")
    again = load_upstream(f"hf:{tmp_path / 'folder'}")
    assert again.name == family
    # A folder says whether the waveform is normalised, and transformers has one way to do it.
    normalize = "none" if made.config.normalize == "none" else "huggingface"
    assert again.config == replace(made.config, normalize=normalize)
    as_before = load_upstream(f"hf:{tmp_path / 'folder'}", normalize=made.config.normalize)
    assert fingerprint(as_before) == fingerprint(made)


def test_what_transformers_is_told(tmp_path: Path) -> None:
    write_folder(load_upstream("wavlm", weights="random", **{**WAVEFORM_TOY, **LARGE}), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("wavlm", ["WavLMModel"])
    assert (config["num_buckets"], config["max_bucket_distance"]) == (320, 800)
    assert config["do_stable_layer_norm"]
    preprocessor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert preprocessor["do_normalize"]
    assert preprocessor["return_attention_mask"]


class Unpublished(WaveformEncoder):
    """A family that transformers does not have."""


def test_other_encoders_have_no_such_form(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no form in transformers"):
        write_folder(Unpublished(WaveformConfig(**WAVEFORM_TOY)), tmp_path)
    with pytest.raises(CheckpointError, match="log_mel has no form in transformers"):
        write_folder(load_upstream("log_mel"), tmp_path)
    assert not list(tmp_path.iterdir())
