"""Which checkpoints have the head of a recogniser, and which of them can be runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl.core.errors import CheckpointError
from audiossl.downstreams.asr.published.head import head_of
from audiossl.encoders.formats.original import Original


def original(folder: Path, state: dict[str, Any], **config: Any) -> Original:
    (folder / "vocab.json").write_text('{"a": 0, "<pad>": 1}', encoding="utf-8")
    return Original(folder, "huggingface", {"config": {"model_type": "hubert", **config}}, {}, lambda: state)


def test_rows_are_sorted_with_the_blank_first(tmp_path: Path) -> None:
    state = {"lm_head.weight": torch.arange(4.0).view(2, 2), "lm_head.bias": torch.tensor([5.0, 6.0])}
    head = head_of(original(tmp_path, state, architectures=["HubertForCTC"]))
    assert head is not None
    assert head.state["head.output.weight"].tolist() == [[2.0, 3.0], [0.0, 1.0]]
    assert head.state["head.output.bias"].tolist() == [6.0, 5.0]
    assert head.task["head"]["kind"] == "linear"


def test_an_encoder_has_none(tmp_path: Path) -> None:
    assert head_of(original(tmp_path, {}, architectures=["HubertModel"])) is None
    assert head_of(Original(tmp_path, "fairseq", {}, {}, lambda: {"label_embs_concat": torch.zeros(2, 2)})) is None
    assert head_of(Original(tmp_path, "torchaudio", {}, {}, dict)) is None


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"add_adapter": True}, "has convolutions between encoder and head"),
        ({"model_type": "sew"}, r"is a HubertForCTC, and runs are made of recognisers of the wav2vec 2\.0 family"),
        ({}, r"has no lm_head\.weight"),
    ],
)
def test_what_cannot_be_a_run_is_one_sentence(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        head_of(original(tmp_path, {}, architectures=["HubertForCTC"], **config))
