"""Loading a checkpoint of the family is strict, and writing one is its inverse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl import Upstream, load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.formats.original import Original
from audiossl.encoders.testing import perturb
from audiossl.encoders.waveform import checkpoints
from audiossl.encoders.waveform.cards import WAVEFORM_TOY


def toy(family: str = "wav2vec2", **options: Any) -> Upstream:
    made = load_upstream(family, weights="random", **{**WAVEFORM_TOY, **options})
    perturb(made)
    return made


def original(state: dict[str, Tensor], kind: str = "fairseq") -> Original:
    section = {"encoder_attention_heads": 2, "encoder_layers": 2}
    described = {"config": {"num_attention_heads": 2, "num_hidden_layers": 2}} if kind == "huggingface" else {}
    return Original(Path("x.pt"), kind, described or {"model": section}, {}, lambda: state)


@pytest.mark.parametrize("toolkit", ["fairseq", "huggingface"])
def test_what_is_written_is_read_again(toolkit: str) -> None:
    made = toy()
    state = checkpoints.to_original(made.state_dict(), "group", toolkit)
    again = checkpoints.load("wav2vec2", original(state, toolkit), {})
    assert again.name == "wav2vec2"
    assert fingerprint(again) == fingerprint(made)


def test_one_converter_knows_all_families_and_recognises_a_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from audiossl.encoders.formats import loading

    asked = []
    converter = checkpoints.CONVERTER

    def family_of(file: Original) -> str:
        asked.append(file)
        return converter.family_of(file)

    counted = type(converter)(converter.families, family_of, converter.load)
    monkeypatch.setattr(loading, "CONVERTER", counted)
    made = toy("hubert")
    state = checkpoints.to_original(made.state_dict(), "group")
    file = Original(
        Path("x.pt"), "fairseq", {"model": {"_name": "hubert", "encoder_attention_heads": 2}}, {}, lambda: state
    )
    monkeypatch.setattr(loading, "read_original", lambda path: file)
    loaded = loading.load_original(Path("x.pt"))
    assert loaded.name == "hubert"
    assert len(asked) == 1


def test_options_and_random_weights() -> None:
    state = checkpoints.to_original(toy().state_dict(), "group")
    made = checkpoints.load("wav2vec2", original(state), {"padding": "legacy"}, random_init=True)
    assert made.config.padding == "legacy"  # type: ignore[union-attr]
    assert not torch.equal(made.state_dict()["norm.weight"], state["encoder.layer_norm.weight"])


def test_adapters_of_one_language_are_taken_from_their_stack() -> None:
    made = toy(adapter_width=4)
    state = checkpoints.to_original(made.state_dict(), "group")
    stacked = {name: value[None] if ".adapter_layer." in name else value for name, value in state.items()}
    assert fingerprint(checkpoints.load("wav2vec2", original(stacked), {})) == fingerprint(made)
    two = {name: torch.cat([value] * 2) if ".adapter_layer." in name else value for name, value in stacked.items()}
    with pytest.raises(CheckpointError, match="stacks adapters of 2 languages"):
        checkpoints.load("wav2vec2", original(two), {})


def test_spoiled_numbers_and_unknown_names_are_refused() -> None:
    state = checkpoints.to_original(toy().state_dict(), "group")
    spoiled = {**state, "encoder.layer_norm.bias": torch.full((16,), torch.inf)}
    with pytest.raises(CheckpointError, match=r"NaN or infinity in 1 tensors, encoder\.layer_norm\.bias first"):
        checkpoints.load("wav2vec2", original(spoiled), {})
    with pytest.raises(CheckpointError, match=r"the wav2vec2 encoder \(2 blocks of 16\).*unexpected: mine"):
        checkpoints.load("wav2vec2", original({**state, "mine": torch.zeros(1)}), {})
