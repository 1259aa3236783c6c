"""Converters are found beside the classes of registered encoders, of plugins too."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from audiossl import UPSTREAMS, load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.converter import Converter, found_converters

MODEL = """
from dataclasses import dataclass
import torch
from audiossl import Upstream

@dataclass(frozen=True)
class Config:
    width: int = 2

class Encoder(Upstream):
    Config = Config
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stride = self.receptive_field = 160
        self.widths = (config.width,)
        self.gain = torch.nn.Parameter(torch.ones(config.width))
    def encode(self, wavs, lengths, last):
        return [wavs.unfold(1, 160, 160).mean(-1)[..., None] * self.gain]
"""
CONVERT = """
from audiossl.core.tensors import load_strict
from audiossl.encoders.building import build_upstream
from audiossl.encoders.formats.converter import Converter

def family_of(original):
    return "theirs" if "their_gain" in original.state else ""

def load(family, original, options, random_init):
    state = {"gain": original.state["their_gain"]}
    made = build_upstream("of_a_plugin", {"width": len(state["gain"]), **options}, seed=0)
    load_strict(made, state, expected=made.state_dict(), what=family)
    return made

CONVERTER = Converter(("theirs",), family_of, load)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own, whose encoder is registered by the decorator as an entry point would be."""
    folder = tmp_path / "a_plugin_of_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "model.py").write_text(MODEL)
    (folder / "convert.py").write_text(CONVERT)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(UPSTREAMS, "_decorated", dict(UPSTREAMS._decorated))
    from a_plugin_of_tests.model import Encoder  # type: ignore[import-not-found]

    UPSTREAMS.register("of_a_plugin", architecture=True)(Encoder)
    yield folder  # type: ignore[misc]
    for name in [name for name in sys.modules if name.startswith("a_plugin_of_tests")]:
        del sys.modules[name]


def test_families_of_this_package() -> None:
    found = found_converters()
    assert all(isinstance(converter, Converter) for converter in found)
    families = [family for converter in found for family in converter.families]
    assert sorted(families) == ["huggingface", "tera", "wav2vec"]
    assert [converter.families for converter in found if converter.is_fallback] == [("huggingface",)]


def test_a_plugin_brings_its_own(plugin: Path, tmp_path: Path) -> None:
    torch.save({"their_gain": torch.tensor([1.0, 2.0, 3.0])}, tmp_path / "theirs.pt")
    made = load_upstream(str(tmp_path / "theirs.pt"))
    assert made.name == "of_a_plugin"
    assert made.widths == (3,)
    assert made.state_dict()["gain"].tolist() == [1.0, 2.0, 3.0]


def test_a_plugin_that_does_not_import_is_left_out_with_a_warning(
    plugin: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (plugin / "convert.py").write_text("import a_package_that_is_not_there\n")
    torch.save({"their_gain": torch.tensor([1.0])}, tmp_path / "theirs.pt")
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="is no checkpoint of a known family"):
        load_upstream(str(tmp_path / "theirs.pt"))
    assert "a_plugin_of_tests.convert does not import" in caplog.text


def test_what_nobody_recognises_names_the_families(tmp_path: Path) -> None:
    torch.save({"mystery.weight": torch.zeros(1)}, tmp_path / "x.pt")
    families = "data2vec, distilhubert, hubert, tera, unispeech_sat, wav2vec, wav2vec2, wavlm, huggingface"
    with pytest.raises(CheckpointError, match=rf"known family \({families}\); it holds: mystery\.weight"):
        load_upstream(str(tmp_path / "x.pt"))
