"""The family of a checkpoint, by what only that family has, then by what the file says, then by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl.core.registry import UPSTREAMS
from audiossl.encoders.formats.original import Original
from audiossl.encoders.waveform.recognition import FAMILIES, architecture, family_of

STEM = "feature_extractor.conv_layers.0.0.weight"


def original(*names: str, kind: str = "fairseq", content: dict[str, Any] | None = None, **described: Any) -> Original:
    state = {name: torch.zeros(1) for name in (STEM, *names)}
    return Original(Path("x.pt"), kind, described, content or {}, lambda: state)


def test_every_family_is_a_name_that_can_be_built() -> None:
    assert all(family in UPSTREAMS for family in FAMILIES)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("encoder.layers.0.self_attn.grep_a", "wavlm"),
        ("wavlm.encoder.layers.0.attention.gru_rel_pos_const", "wavlm"),
        ("encoder.pos_conv.1.0.weight", "data2vec"),
        ("spk_proj.weight", "unispeech_sat"),
        ("output_layer.2.bias", "distilhubert"),
    ],
)
def test_tensors_go_before_what_a_file_says(name: str, family: str) -> None:
    assert family_of(original(name, model={"_name": "hubert"})) == family


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ({"_name": "hubert"}, "hubert"),
        ({"_name": "wav2vec2"}, "wav2vec2"),
        ({"arch": "hubert_ctc"}, "hubert"),
        ({"_name": "data2vec_audio"}, "data2vec"),
        ({"_name": "unispeech_sat"}, "unispeech_sat"),
        ({"_name": "wav2vec_ctc", "w2v_args": {"model": {"_name": "hubert"}}}, "hubert"),
        ({"_name": "wav2vec_ctc", "w2v_args": {"arch": "wav2vec2"}}, "wav2vec2"),
        ({"label_rate": 50}, "hubert"),
        ({}, "wav2vec2"),
    ],
)
def test_names_of_architectures(model: dict[str, Any], family: str) -> None:
    assert family_of(original(model=model)) == family


def test_what_training_left_behind_tells_hubert_from_wav2vec2() -> None:
    assert family_of(original("label_embs_concat", kind="state_dict")) == "hubert"
    assert family_of(original("quantizer.vars", kind="state_dict")) == "wav2vec2"


def test_makers_of_files() -> None:
    assert family_of(original(kind="microsoft")) == "unispeech_sat"
    assert family_of(original(kind="s3prl", content={"Distiller": {}})) == "distilhubert"


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"model_type": "wav2vec2"}, "wav2vec2"),
        ({"model_type": "mert_model"}, "hubert"),
        ({"model_type": "hubert", "feat_proj_layer_norm": False}, "distilhubert"),
        ({"model_type": "data2vec-audio"}, "data2vec"),
        ({"model_type": "whisper"}, ""),
        ({}, ""),
    ],
)
def test_folders_of_transformers_by_their_type(config: dict[str, Any], family: str) -> None:
    assert family_of(original(kind="huggingface", config=config)) == family


def test_a_file_without_the_stem_is_none_of_them() -> None:
    other = Original(Path("x.pt"), "fairseq", {"model": {"_name": "hubert"}}, {}, lambda: {"weight": torch.zeros(1)})
    assert family_of(other) == ""


def test_weights_of_a_folder_are_not_read_to_recognise_it() -> None:
    def read() -> dict[str, Any]:
        raise AssertionError("read")

    folder = Original(Path("x"), "huggingface", {"config": {"model_type": "wavlm"}}, {}, read)
    assert family_of(folder) == "wavlm"


def test_the_section_of_an_encoder_below_a_recogniser() -> None:
    model = {"_name": "wav2vec_ctc", "normalize": True, "w2v_args": {"model": {"encoder_layers": 12}}}
    found = architecture(original(model=model))
    assert found["encoder_layers"] == 12
    assert found["_outer"]["normalize"] is True
