"""Cards of published weights say what they stand for, without fetching anything."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import audiossl
from audiossl import UPSTREAMS, Upstream, load_upstream
from audiossl.cli.inspect import describe_name
from audiossl.core.cards import UpstreamCard
from audiossl.core.files import cache_folder
from audiossl.core.tensors import config_of
from audiossl.encoders.building import build_upstream
from audiossl.encoders.hub import local_path, published
from audiossl.encoders.loading import differences
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.waveform.cards import WAVEFORM_TOY

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec", "unispeech_sat", "distilhubert")


def card_of(name: str) -> UpstreamCard:
    card = UPSTREAMS.card(name)
    assert isinstance(card, UpstreamCard)
    return card


def names_of(family: str) -> list[str]:
    owner = f"audiossl.upstreams.{family}"
    return [name for name in UPSTREAMS.names() if UPSTREAMS.owner(name) == owner]


NAMES = [name for family in FAMILIES for name in names_of(family) if published(card_of(name).weights)]
# What distinguishes one way through the code from another, whatever the size.
STYLE = ("conv_norm", "pre_norm", "position_norm", "conv_bias", "normalize", "feature_norm")


def style(name: str) -> tuple[Any, ...]:
    card = card_of(name)
    sizes = (len(card.options.get("conv_strides", ())), bool(card.options.get("adapter_width")))
    return (card.target, *(card.options.get(key) for key in STYLE), *sizes)


STYLES = sorted({style(name): name for name in reversed(NAMES)}.values())


@cache
def size_of(target: str, options: str) -> tuple[int, int, dict[str, Any]]:
    """Parameters, sample rate and configuration of what a card builds; nothing is allocated."""
    name = next(name for name in UPSTREAMS.names() if UPSTREAMS.card(name).target == target)
    with torch.device("meta"):
        upstream = build_upstream(name, json.loads(options), seed=0)
    return sum(p.numel() for p in upstream.parameters()), upstream.sample_rate_hz, config_of(upstream)


def test_every_row_of_the_families_has_a_name() -> None:
    assert {family: len(names_of(family)) for family in FAMILIES} == {
        "wav2vec2": 42,
        "hubert": 19,
        "wavlm": 4,
        "data2vec": 9,
        "unispeech_sat": 4,
        "distilhubert": 1,
    }


@pytest.mark.parametrize("name", NAMES)
def test_card_tells_the_truth(name: str) -> None:
    card = card_of(name)
    parameters, sample_rate_hz, config = size_of(card.target, json.dumps(dict(card.options)))
    assert (card.num_parameters, card.sample_rate_hz) == (parameters, sample_rate_hz)
    assert differences(config, card.options) == []
    assert set(card.options) <= set(config)
    assert card.summary and "\n" not in card.summary and len(card.summary) <= 90
    assert card.paper.startswith("https://arxiv.org/abs/")
    assert card.licence or "licence" in card.unverified
    assert card.notes.startswith(("Trained on", "Whether training"))
    assert "normalize" in card.options or "normalisation" in card.unverified


def test_weights_lie_in_one_place_each() -> None:
    weights = [card_of(name).weights for name in NAMES]
    assert len(set(weights)) == len(weights)
    for reference in weights:
        if reference.startswith("hf:"):
            assert reference.count("/") == 1 and "@" not in reference
        else:
            assert reference.endswith((".pt", ".pth"))


@pytest.mark.parametrize("name", STYLES)
def test_forward_at_toy_size(name: str) -> None:
    upstream = toy(name)
    wavs, lengths = pad(noise(upstream, [0.3, 0.2]))
    with torch.inference_mode():
        features = upstream(wavs, lengths)
        alone = upstream(wavs[1:, : int(lengths[1])])
    assert len(features.layers) == upstream.num_layers == 3
    torch.testing.assert_close(features.layers[-1][1:, : alone.layers[-1].shape[1]], alone.layers[-1])


def toy(name: str) -> Upstream:
    """A name's style at toy size."""
    options = card_of(name).options
    smaller: dict[str, Any] = {**WAVEFORM_TOY, "conv_widths": (16,) * len(options.get("conv_strides", range(7)))}
    if options.get("position_norm") == "layer":
        smaller["position_kernel"] = 15
    return load_upstream(name, weights="random", **smaller)


@pytest.mark.parametrize("family", FAMILIES)
def test_readme_has_every_name(family: str) -> None:
    readme = (Path(audiossl.__file__).parent / "upstreams" / family / "README.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in readme.splitlines() if line.startswith("| `")}
    assert set(rows) == set(names_of(family))
    for name, row in rows.items():
        assert bool(card_of(name).unverified) == ("?" in row), f"{name}: the mark ? of what nobody has checked"


def test_describe_fetches_and_draws_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path))
    monkeypatch.setattr("audiossl.encoders.hub.local_path", None)
    facts = describe_name("wavlm_large")
    assert facts["layers"] == 25 and facts["widths"] == [1024]
    assert facts["parameters"] == facts["num_parameters"] == 315_453_120
    assert facts["unverified"] and "toy" not in facts
    assert describe_name("mhubert_25hz")["frame_rate_hz"] == 25.0
    assert describe_name("wav2vec2")["architecture"] is True
    assert list(tmp_path.iterdir()) == []


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys; from audiossl.core.registry import UPSTREAMS; "
        "names = UPSTREAMS.names(); assert 'wavlm_large' in names; "
        "print(sorted({'torch', 'torchaudio', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_torchaudio_export_comes_with_its_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched: list[str] = []

    def download(url: str, path: str) -> None:
        fetched.append(url)
        Path(path).write_text("{}", encoding="utf-8")

    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    reference = card_of("aves_bio").weights
    path, source = local_path(reference)
    assert source == "" and path.name == "aves-base-bio.torchaudio.pt"
    beside = path.with_name("aves-base-bio.torchaudio.model_config.json")
    assert beside.is_file()
    assert fetched == [reference, f"{reference.removesuffix('.pt')}.model_config.json"]
    local_path(f"torchaudio:{reference}")
    assert len(fetched) == 2  # once each
    ledger = json.loads((cache_folder() / "checksums.json").read_text(encoding="utf-8"))
    assert set(ledger["addresses"]) == set(fetched)
    local_path(card_of("mms_fa").weights)
    assert len(fetched) == 3
