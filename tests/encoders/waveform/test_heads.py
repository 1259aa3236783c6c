"""Heads of pre-training by fairseq's names, whichever toolkit wrote them."""

from __future__ import annotations

import torch
from torch import Tensor

from audiossl.encoders.waveform.heads import heads_of

_STEM = "feature_extractor.conv_layers.0."


def named(*names: str) -> dict[str, Tensor]:
    return {name: torch.full((1,), float(number)) for number, name in enumerate(names)}


def test_fairseq_has_them_among_the_encoders_tensors() -> None:
    names = ("final_proj.weight", "label_embs_concat", "quantizer.vars", "quantizer.weight_proj.bias", "project_q.bias")
    state = named(f"{_STEM}0.weight", "encoder.layers.0.fc1.weight", "_ema", *names)
    assert heads_of(state) == {name: state[name] for name in names}
    assert list(heads_of(named("final_proj.0.weight"))) == ["final_proj.weight"]


def test_transformers_and_torchaudio_call_them_otherwise() -> None:
    state = named(f"wav2vec2.{_STEM}conv.weight", "quantizer.codevectors", "project_hid.weight", "project_q.weight")
    assert list(heads_of(state)) == ["quantizer.vars", "final_proj.weight", "project_q.weight"]
    state = named(
        f"wav2vec2.{_STEM}conv.weight",
        "mask_generator.mask_embedding",
        "logit_generator.label_embeddings",
        "logit_generator.final_proj.bias",
    )
    assert list(heads_of(state)) == ["label_embs_concat", "final_proj.bias"]
    wrapped = {f"model.{name}": value for name, value in state.items()}
    assert list(heads_of(wrapped)) == ["label_embs_concat", "final_proj.bias"]


def test_heads_of_a_recogniser_are_none_of_these() -> None:
    assert heads_of(named(f"w2v_encoder.w2v_model.{_STEM}0.weight", "w2v_encoder.proj.weight", "lm_head.bias")) == {}
    assert heads_of({"final_proj.weight": None}) == {}  # type: ignore[dict-item]
