"""The configuration of a checkpoint: tensors before words, words before defaults, the user before all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.original import Original
from audiossl.encoders.waveform.cards import WAVEFORM_TOY
from audiossl.encoders.waveform.checkpoints import to_original
from audiossl.encoders.waveform.description import configuration_of, parse_conv_layers


def tensors(family: str = "wav2vec2", **options: Any) -> dict[str, Tensor]:
    made = load_upstream(family, weights="random", **{**WAVEFORM_TOY, **options})
    return to_original(made.state_dict(), made.config.conv_norm)


def described(
    state: dict[str, Tensor], kind: str = "fairseq", options: dict[str, Any] | None = None, **sections: Any
) -> dict[str, Any]:
    return configuration_of(Original(Path("x.pt"), kind, sections, {}, lambda: state), state, options or {})


def test_tensors_show_every_size_whatever_the_file_says() -> None:
    wrong = {"encoder_attention_heads": 2, "encoder_embed_dim": 999, "encoder_ffn_embed_dim": 999}
    found = described(tensors(adapter_width=4, conv_bias=True), model=wrong)
    shown = {**WAVEFORM_TOY, "adapter_width": 4, "conv_bias": True, "conv_norm": "group", "position_norm": "weight"}
    assert {key: found[key] for key in shown} == shown


def test_half_of_the_layers_missing_must_show() -> None:
    found = described(tensors(), model={"encoder_attention_heads": 2, "encoder_layers": 4})
    assert found["num_layers"] == 4  # so that strict loading names the missing ones


@pytest.mark.parametrize(
    ("options", "pre_norm", "normalize"),
    [
        ({}, False, "none"),
        ({"conv_norm": "layer"}, True, "layer_norm"),
        ({"conv_norm": "layer", "position_norm": "layer", "position_depth": 2}, False, "layer_norm"),
    ],
)
def test_what_nothing_says_is_that_of_the_published_models(
    options: dict[str, Any], pre_norm: bool, normalize: str
) -> None:
    found = described(tensors(**options), options={"num_heads": 2})
    assert (found["pre_norm"], found["normalize"]) == (pre_norm, normalize)
    assert found["conv_strides"] == (5, 2, 2, 2, 2, 2, 2)


def test_the_user_goes_before_the_file() -> None:
    said = {"model": {"encoder_attention_heads": 2}, "task": {"normalize": True, "sample_rate": 8000}}
    assert described(tensors(), **said)["normalize"] == "layer_norm"
    assert described(tensors(), **said)["sample_rate_hz"] == 8000
    chosen = described(tensors(), options={"normalize": "none", "num_heads": 4, "layer_drop": 0.2}, **said)
    assert (chosen["normalize"], chosen["num_heads"], chosen["layer_drop"]) == ("none", 4, 0.2)


@pytest.mark.parametrize("style", ["group", "layer"])
@pytest.mark.parametrize(("do_normalize", "normalize"), [(True, "huggingface"), (False, "none"), (None, "huggingface")])
def test_the_preprocessor_of_a_folder_decides_on_normalisation(
    style: str, do_normalize: bool | None, normalize: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = {} if do_normalize is None else {"do_normalize": do_normalize}
    sections = {"config": {"model_type": "wav2vec2"}, "preprocessor": said}
    state = tensors(conv_norm=style)
    with caplog.at_level(logging.WARNING):
        assert described(state, "huggingface", **sections)["normalize"] == normalize
    expected = (style == "group") == (normalize == "huggingface")
    assert ("as its preprocessor says, though encoders of this style are usually trained" in caplog.text) == expected
    caplog.clear()
    for wish, made in (("huggingface", normalize), ("none", "none"), ("layer_norm", "layer_norm")):
        assert described(state, "huggingface", {"normalize": wish}, **sections)["normalize"] == made
    assert not caplog.text  # who asks for it need not be told


def test_without_a_preprocessor_the_style_decides() -> None:
    for style, normalize in (("group", "none"), ("layer", "layer_norm")):
        found = described(tensors(conv_norm=style), "huggingface", config={"model_type": "wav2vec2"})
        assert found["normalize"] == normalize


def test_a_preprocessor_that_says_neither_yes_nor_no_is_refused() -> None:
    sections = {"config": {"model_type": "wav2vec2"}, "preprocessor": {"do_normalize": "false"}}
    with pytest.raises(CheckpointError, match="do_normalize='false', not true or false"):
        described(tensors(), "huggingface", **sections)


def test_heads_show_in_a_table_of_relative_biases() -> None:
    assert described(tensors("wavlm"))["num_heads"] == 2
    assert described(tensors("wavlm"), model={"relative_position_embedding": True})["max_distance"] == 1280


def test_heads_are_guessed_with_a_warning_or_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert described(tensors(width=24, num_heads=2))["num_heads"] == 12
    assert "12 are assumed; give num_heads=" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert described(tensors(width=768, num_heads=2, num_layers=1))["num_heads"] == 12
    assert not caplog.text  # a published width
    with pytest.raises(CheckpointError, match=r"does not say its number of attention heads; give num_heads="):
        described(tensors(width=16))


def test_what_is_not_here_is_refused() -> None:
    with pytest.raises(CheckpointError, match="uses the activation 'relu'"):
        described(tensors(), model={"activation_fn": "relu"})
    with pytest.raises(CheckpointError, match="relative positions without gates"):
        described(tensors(), model={"relative_position_embedding": True, "gru_rel_pos": False})
    with pytest.raises(CheckpointError, match="constant-Q transform"):
        described(tensors(), "huggingface", config={"model_type": "mert_model", "feature_extractor_cqt": True})
    partial = {name: value for name, value in tensors().items() if "fc1" not in name}
    with pytest.raises(
        CheckpointError, match=r"is no whole waveform encoder; missing: encoder\.layers\.0\.fc1\.weight"
    ):
        described(partial)
    shorter = {"conv_widths": (16,) * 9, "conv_kernels": (2,) * 9, "conv_strides": (2,) * 9}
    with pytest.raises(CheckpointError, match="has 9 convolutions and does not say their strides"):
        described(tensors(**shorter), options={"num_heads": 2})


def test_expressions_of_a_stem_are_read_and_not_run() -> None:
    text = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"
    layers = parse_conv_layers(text)
    assert [layer[1] for layer in layers] == [10, 3, 3, 3, 3, 2, 2]
    assert parse_conv_layers("2 * [(8, 3, 2)]") == [(8, 3, 2)] * 2
    for bad in ("__import__('os')", "[(1, 2)]", "[(512, 3, 2)] * 100000", "[('a', 3, 2)]", "[(1, 2, 3)", "4"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            parse_conv_layers(bad)
