"""Encoders as a user types them, and what is known of them without loading them twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.experiments.suites import encoders
from audiossl.experiments.suites.encoders import EncoderChoice, known_encoder, parse_encoder

TERA = "tera:random,width=8,num_layers=2,num_heads=2,ffn_width=16"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("log_mel", "log_mel", {}),
        ("tera_mini:random", "tera_mini", {"weights": "random"}),
        (
            "wav2vec2:random,width=256,conv_widths=[8,8]",
            "wav2vec2",
            {"weights": "random", "width": 256, "conv_widths": [8, 8]},
        ),
        ("hf:microsoft/wavlm-base-plus", "hf:microsoft/wavlm-base-plus", {}),
        ("[tera_mini,log_mel]", "tera_mini + log_mel", {}),
        (
            "[tera_mini, fbank],join=pooled,2={cmvn: false}",
            "tera_mini + fbank",
            {"join": "pooled", "2": {"cmvn": False}},
        ),
        ("bandwidth,encoder=log_mel,mode=time_expand", "bandwidth", {"encoder": "log_mel", "mode": "time_expand"}),
    ],
)
def test_what_is_typed(text: str, name: str, options: dict[str, object]) -> None:
    assert parse_encoder(text) == EncoderChoice(text, name, options)


@pytest.mark.parametrize("text", ["", ",width=3", "log_mel,width", "[]", "[log_mel,]"])
def test_what_names_no_encoder_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_encoder(text)
    assert "\n" not in str(caught.value)


def test_an_unknown_encoder_or_option_is_one_sentence() -> None:
    with pytest.raises(AudiosslError, match="log_mell"):
        known_encoder(parse_encoder("log_mell"))
    with pytest.raises(ConfigError, match="there is no key 'wdth'. Did you mean width"):
        known_encoder(parse_encoder(f"{TERA},wdth=3"))


def test_it_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = known_encoder(parse_encoder(TERA))
    assert (first.facts.name, first.facts.num_layers) == ("tera", 3)
    assert first.facts.num_parameters > 0
    assert first.facts.trained_on == []
    monkeypatch.setattr(encoders, "load_upstream", lambda *_, **__: pytest.fail("it was loaded again"))
    assert known_encoder(parse_encoder(TERA)) == first


def test_the_identity_is_that_of_weights_and_options() -> None:
    first = known_encoder(parse_encoder(TERA)).identity
    assert known_encoder(parse_encoder(f"{TERA},seed=1")).identity != first
    assert known_encoder(parse_encoder(TERA.replace("width=8", "width=4", 1))).identity != first
    assert known_encoder(parse_encoder("tera:random,num_layers=2,width=8,num_heads=2,ffn_width=16")).identity == first
    assert (
        known_encoder(parse_encoder("log_mel")).identity
        != known_encoder(parse_encoder("log_mel,num_features=20")).identity
    )


def test_a_pre_trained_encoder_says_what_it_was_trained_on() -> None:
    assert known_encoder(parse_encoder("tera_mini")).facts.trained_on
    assert known_encoder(parse_encoder("tera_mini:random")).facts.trained_on == []


def test_joined_encoders_are_known_by_all_their_members() -> None:
    joined = known_encoder(parse_encoder("[tera_mini,log_mel]"))
    assert joined.facts.trained_on == known_encoder(parse_encoder("tera_mini")).facts.trained_on != []
    assert joined.facts.num_layers == known_encoder(parse_encoder("tera_mini")).facts.num_layers + 1
    assert joined.identity != known_encoder(parse_encoder("[tera_mini,log_mel],join=pooled")).identity
