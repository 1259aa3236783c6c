"""What tells an encoder from others: weights, how they run, and code."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.encoders.kept import load_identified
from audiossl.experiments.identity import encoders
from audiossl.experiments.identity.encoders import code_of_encoder, identity_of_encoder

SMALL: dict[str, Any] = {"weights": "random", "width": 8, "num_layers": 1, "num_heads": 2, "ffn_width": 16}


def test_weights_and_precision_count_and_names_do_not() -> None:
    one, same, other = (load_identified("tera", {**SMALL, "seed": seed}) for seed in (0, 0, 1))
    assert identity_of_encoder(one) == identity_of_encoder(same) != identity_of_encoder(other)
    half = load_identified("tera", {**SMALL, "precision": "bf16"})
    assert identity_of_encoder(half) != identity_of_encoder(one)


def test_the_code_of_an_encoder_is_that_of_its_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    one, same, other = (load_identified(*each).upstream for each in (("tera", SMALL), ("tera", SMALL), ("log_mel", {})))
    assert code_of_encoder(one) == code_of_encoder(same) != code_of_encoder(other)
    seen: list[str] = []
    monkeypatch.setattr(encoders, "code_of_modules", lambda modules: seen.extend(modules) or "")
    code_of_encoder(one)
    assert "audiossl.upstreams.tera.model" in seen
