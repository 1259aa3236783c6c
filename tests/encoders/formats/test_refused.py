"""Encoders that are known and not here are called by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.original import Original
from audiossl.encoders.formats.refused import refuse_by_name


def original(name: str, kind: str = "state_dict", **described: Any) -> Original:
    return Original(Path("x.pt"), kind, described, {}, lambda: {name: torch.zeros(1)})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("modality_encoders.AUDIO.x", r"data2vec 2\.0"),
        ("patch_embedding.weight", "BEATs"),
        ("module.v.cls_token", "SSAST"),
        ("patch_embed.proj.weight", "AudioMAE"),
        ("feature_aggregator.conv.weight", r"wav2vec 1\.0"),
        ("features.0.weight", "BYOL-A"),
        ("encoder.layers.0.conv_module.x", "Conformer"),
        ("decoder.token_embedding.weight", "Whisper"),
    ],
)
def test_by_a_tensor_that_only_they_have(name: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^x\.pt is .*{said}.* which audiossl does not have\.$"):
        refuse_by_name(original(name))


def test_by_the_type_of_its_layers() -> None:
    with pytest.raises(CheckpointError, match="a wav2vec 2.0 Conformer of fairseq"):
        refuse_by_name(original("w", "fairseq", model={"layer_type": "conformer"}))


def test_what_may_be_one_of_ours_passes() -> None:
    refuse_by_name(original("feature_extractor.conv_layers.0.0.weight"))
    refuse_by_name(original("cls_token", "huggingface"))  # transformers has a class for it
