"""How layers are named."""

from __future__ import annotations

import pytest
import torch

from audiossl import load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.engines.export import export
from audiossl.encoders.layers import last_layer, parse_layers
from audiossl.encoders.long_audio import encode_long


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", list(range(13))),
        ("last", [12]),
        ("0, 6-8,7", [0, 6, 7, 8]),
        ("-1", [12]),
        ("-1,0,3", [0, 3, 12]),
        ("-13", [0]),
        ("-3--1", [10, 11, 12]),
        ("11--1", [11, 12]),
        ("5-5", [5]),
    ],
)
def test_layers_in_words(text: str, expected: list[int]) -> None:
    assert parse_layers(text, 13) == expected


@pytest.mark.parametrize("text", ["13", "-14", "8-6", "0-13", "-1-0", "", "a", "1,", "1-", "1.5", "first", "1-2-3"])
def test_what_names_no_layer_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--layer .*this upstream has layers 0 to 12\.$"):
        parse_layers(text, 13, option="--layer")


def test_one_sentence_for_a_layer_that_is_not_there(tmp_path) -> None:
    upstream, sound = load_upstream("log_mel"), torch.zeros(1, 16000)
    assert (last_layer(None, 13), last_layer(3, 13)) == (12, 3)
    for number in (1, -1):
        sentence = rf"^up_to_layer={number}: this upstream has layers 0 to 0\.$"
        with pytest.raises(ConfigError, match=sentence):
            upstream(sound, up_to_layer=number)
        with pytest.raises(ConfigError, match=sentence):
            encode_long(upstream, sound[0], up_to_layer=number)
        with pytest.raises(ConfigError, match=sentence):
            export(upstream, tmp_path / "x.pt2", "torch-export", up_to_layer=number)
