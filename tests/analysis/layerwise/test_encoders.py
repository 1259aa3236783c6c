"""Which encoders stand beside those that are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.analysis.layerwise.encoders import all_studied
from audiossl.core.errors import ConfigError
from audiossl.encoders.encoder_file import EncoderFile


def test_random_weights_stand_beside() -> None:
    found = all_studied(["tera_mini", "log_mel"], random=True)
    assert [(each.written, each.role, each.beside) for each in found] == [
        ("tera_mini", "asked", ""),
        ("tera_mini, random", "random", "tera_mini"),
        ("log_mel", "asked", ""),
        ("log_mel, random", "random", "log_mel"),
    ]
    assert found[1].options == {"weights": "random"}
    assert len(all_studied(["tera_mini", "log_mel"], random=False)) == 2
    assert len(all_studied(["tera_mini[weights=random]"], random=True)) == 1


def test_a_tuned_encoder_stands_beside_what_it_was(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    EncoderFile(upstream="tera_mini", options={"padding": "exact"}, weights="b", finetune={"mode": "all"}).write(run)
    found = all_studied([str(run), "tera_mini"], random=True)
    assert [(each.written, each.role) for each in found] == [
        ("run", "asked"),
        ("run, before", "before"),
        ("tera_mini, random", "random"),
        ("tera_mini", "asked"),
    ]
    assert found[1].name == "tera_mini"
    assert found[1].options == {"padding": "exact"}
    assert found[2].options == {"padding": "exact", "weights": "random"}
    EncoderFile(upstream="tera_mini", weights="b", finetune={"mode": "none"}).write(run)  # a head on a frozen one
    assert [each.role for each in all_studied([str(run)], random=True)] == ["asked", "random"]


def test_an_encoder_is_named_once() -> None:
    with pytest.raises(ConfigError, match="asked for twice"):
        all_studied(["log_mel", "log_mel"], random=True)
