"""An encoder that is asked for again is the same one only where nothing can tell the difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from audiossl.core.tensors import fingerprint
from audiossl.encoders import kept
from audiossl.encoders.kept import forget_encoder, keep_encoder, load_identified

SMALL = {"weights": "random", "width": 8, "num_layers": 1, "num_heads": 2, "ffn_width": 16}


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were loaded, in order."""
    names: list[str] = []
    load = kept.load_upstream
    monkeypatch.setattr(kept, "load_upstream", lambda name, **options: [names.append(name), load(name, **options)][1])
    yield names
    forget_encoder()


def test_within_it_an_encoder_is_loaded_once(loads: list[str]) -> None:
    with keep_encoder("as it is"):
        first = load_identified("tera", SMALL)
        assert load_identified("tera", dict(SMALL)) is first
    with keep_encoder("as it is"):
        assert load_identified("tera", SMALL) is first
    assert loads == ["tera"]
    assert first.fingerprint == fingerprint(first.upstream)


def test_outside_of_it_every_call_loads(loads: list[str]) -> None:
    first = load_identified("tera", SMALL)
    with keep_encoder("as it is"):
        load_identified("tera", SMALL)
    last = load_identified("tera", SMALL)
    assert last.upstream is not first.upstream
    assert last.fingerprint == first.fingerprint
    assert len(loads) == 3


def test_other_files_names_and_options_are_other_encoders(loads: list[str]) -> None:
    with keep_encoder("as it is"):
        load_identified("tera", SMALL)
        load_identified("tera", {**SMALL, "seed": 1})
        load_identified("log_mel", {})
        load_identified("tera", SMALL)  # the last one is kept, and no other
    with keep_encoder("written anew"):
        load_identified("tera", SMALL)
    assert loads == ["tera", "tera", "log_mel", "tera", "tera"]


def test_one_whose_weights_were_changed_is_loaded_again(loads: list[str]) -> None:
    with keep_encoder("as it is"):
        first, mark = load_identified("tera", SMALL)
        with torch.no_grad():
            next(first.parameters()).data[0] += 1  # which no counter of torch notices
        again = load_identified("tera", SMALL)
    assert again.upstream is not first
    assert again.fingerprint == mark
    assert loads == ["tera", "tera"]


def test_what_is_forgotten_is_loaded_again(loads: list[str]) -> None:
    with keep_encoder("as it is"):
        load_identified("tera", SMALL)
        forget_encoder()
        load_identified("tera", SMALL)
    assert loads == ["tera", "tera"]
