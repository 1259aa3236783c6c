"""Names of tensors from toolkit to toolkit and back."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.waveform.cards import WAVEFORM_TOY
from audiossl.encoders.waveform.names import (
    encoder_of,
    fairseq_to_hf,
    fairseq_to_ours,
    hf_to_fairseq,
    ours_to_fairseq,
    stem_norm,
    torchaudio_to_fairseq,
)

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "base": ("wav2vec2", {}),
    "large with adapters": ("wav2vec2", {"conv_norm": "layer", "conv_bias": True, "adapter_width": 4}),
    "batch norm": ("hubert", {"position_norm": "batch"}),
    "relative positions": ("wavlm", {}),
    "stacked positions": ("data2vec", {"position_kernel": 9, "position_depth": 3}),
}


def state_of(case: str) -> tuple[dict[str, Tensor], str]:
    family, options = CASES[case]
    made = load_upstream(family, weights="random", **{**WAVEFORM_TOY, **options})
    return made.state_dict(), made.config.conv_norm


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("case", CASES)
def test_there_and_back_through_every_toolkit(case: str) -> None:
    ours, conv_norm = state_of(case)
    fairseq = ours_to_fairseq(ours, conv_norm)
    assert stem_norm(fairseq) == conv_norm
    assert same(fairseq_to_ours(fairseq), dict(ours))
    assert same(hf_to_fairseq(fairseq_to_hf(fairseq)), fairseq)


def test_queries_keys_and_values_are_split_in_this_order() -> None:
    ours, conv_norm = state_of("base")
    fairseq = ours_to_fairseq(ours, conv_norm)
    parts = [fairseq[f"encoder.layers.1.self_attn.{part}_proj.weight"] for part in "qkv"]
    assert torch.equal(torch.cat(parts), ours["blocks.1.qkv.weight"])


def test_an_older_transformers_wrote_the_position_weights_otherwise() -> None:
    ours, conv_norm = state_of("base")
    newer = fairseq_to_hf(ours_to_fairseq(ours, conv_norm))
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in newer.items()
    }
    assert older.keys() != newer.keys()
    assert same(hf_to_fairseq(older), hf_to_fairseq(newer))


def test_joined_projections_of_torchaudio_are_split() -> None:
    ours, conv_norm = state_of("base")
    fairseq = ours_to_fairseq(ours, conv_norm)
    theirs = {}
    for name, value in fairseq_to_hf(fairseq).items():
        name = name.replace("feature_projection.", "encoder.feature_projection.")
        name = name.replace("encoder.", "encoder.transformer.") if not name.startswith("encoder.feature") else name
        theirs[name.replace(".attention.", ".attention.attention.")] = value
    for kind in ("weight", "bias"):
        for layer in range(2):
            prefix = f"encoder.transformer.layers.{layer}.attention.attention"
            parts = [theirs.pop(f"{prefix}.{part}_proj.{kind}") for part in "qkv"]
            theirs[f"{prefix}.in_proj_{kind}"] = torch.cat(parts)
    assert same(torchaudio_to_fairseq(theirs), fairseq)


def test_a_part_of_the_attention_alone_keeps_its_name_so_that_it_shows() -> None:
    name = "encoder.layers.0.self_attn.q_proj.weight"
    assert list(fairseq_to_ours({name: torch.zeros(2, 2)})) == [name]


PREFIXES = [
    "",
    "w2v_encoder.w2v_model.",
    "wav2vec2.",
    "module.model.",
    "module.",
    "_orig_mod.module.",
    "net.encoder.wav2vec2.",
    "frontend.upstream.upstream.model.",
    "base_model.model.",
    "mine.",
    "0.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_encoder_is_found_under_any_prefix_without_heads(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    ours, conv_norm = state_of("base")
    fairseq = ours_to_fairseq(ours, conv_norm)
    whole = {prefix + name: value for name, value in fairseq.items()}
    outer = prefix.partition(".")[0] + "." if prefix.count(".") > 1 else ""
    heads = {f"{outer}lm_head.weight": torch.zeros(2), f"{prefix}quantizer.vars": torch.zeros(2), "step": 3}
    with caplog.at_level(logging.WARNING):
        assert same(encoder_of({**whole, **heads}), fairseq)
    assert not caplog.text


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_is_no_known_head_is_an_error_inside_and_named_beside(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    ours, conv_norm = state_of("base")
    fairseq = ours_to_fairseq(ours, conv_norm)
    whole = {prefix + name: value for name, value in fairseq.items()}
    inside = encoder_of({**whole, f"{prefix}my_layer.weight": torch.zeros(2)})
    assert inside.keys() - fairseq.keys() == {"my_layer.weight"}  # strict loading then lists it
    if prefix:
        with caplog.at_level(logging.WARNING):
            found = encoder_of({**whole, "decoders.1.weight": torch.zeros(2), "decoders.1.bias": torch.zeros(2)})
        assert same(found, fairseq)
        assert f"under '{prefix}': 2 tensors that are no known head, decoders.1.weight first" in caplog.text


def test_two_encoders_in_a_file_are_not_chosen_between() -> None:
    stem = "feature_extractor.conv_layers.0.0.weight"
    with pytest.raises(CheckpointError, match=r"holds encoders under 'student\.' and 'teacher\.': save the state_dict"):
        encoder_of({f"teacher.{stem}": torch.zeros(1), f"student.{stem}": torch.zeros(1)})
