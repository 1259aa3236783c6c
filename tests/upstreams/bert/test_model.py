"""BERT on units and on frames: its input, what it keeps of a folder of units, what trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys.varlen import use_stand_in

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.weights import save_upstream
from audiossl.features.units.quantizer import Units, UnitsCard

TINY: dict[str, Any] = {
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "ffn_width": 32,
    "position_kernel": 16,
    "position_groups": 2,
}


def bert(**options: Any) -> Any:
    return load_upstream("bert", weights="random", **{**TINY, **options})


def log_mel_units(folder: Path) -> Units:
    encoder = load_upstream("log_mel")
    wav = noise(encoder, [0.5])[0]
    frames = encoder(wav[None]).layers[0][0]
    card = UnitsCard(
        upstream="log_mel",
        upstream_options={},
        upstream_class=type(encoder).__name__,
        upstream_fingerprint=fingerprint(encoder),
        layer=0,
        clusters=6,
        width=encoder.widths[0],
        sample_rate_hz=16000,
        rate_hz=100.0,
        centre_s=0.0125,
    )
    units = Units(frames[::8][:6].clone(), card)
    units.save(folder)
    return units


@pytest.mark.parametrize("options", [{}, {"num_units": 5}], ids=["frames", "units"])
def test_contract(options: dict[str, Any]) -> None:
    assert check_upstream(bert(**options)).without_gradient == []


def test_its_input_are_the_units_of_the_folder_and_it_needs_the_folder_once(tmp_path: Path) -> None:
    units = log_mel_units(tmp_path / "units")
    made = bert(units=str(tmp_path / "units"))
    wavs, lengths = pad(noise(made, [0.4, 0.3]))
    frames = load_upstream("log_mel")(wavs, lengths).layers[0]
    found = made.local_features(wavs, lengths)[..., 0]
    assert torch.equal(found[0].long(), units.of_states(frames[0]))
    assert len(found.unique()) > 1
    # The centres lie in the weights.
    save_upstream(made, tmp_path / "bert.safetensors")
    (tmp_path / "units" / "units.json").unlink()
    again = load_upstream(str(tmp_path / "bert.safetensors"))
    assert torch.equal(again(wavs, lengths).layers[-1], made(wavs, lengths).layers[-1])


def test_what_makes_the_input_never_trains() -> None:
    made = bert(
        encoder="tera", encoder_options={"width": 16, "num_layers": 1, "num_heads": 2, "ffn_width": 16}, layer=1
    )
    made.train().requires_grad_(True)
    assert not made.stem.training
    assert not any(parameter.requires_grad for parameter in made.stem.parameters())
    assert made.blocks[0].up.weight.requires_grad
    make_trainable(made, FinetuneConfig(mode="top_k", top_k=1))
    trainable = {name.split(".")[0] for name, p in made.named_parameters() if p.requires_grad}
    assert trainable == {"blocks"}


@torch.no_grad()
def test_real_frames_alone_attend_and_in_one_call_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = bert()
    batch = pad(noise(made, [0.4, 0.3]))
    expected = made(*batch).layers
    calls = use_stand_in(monkeypatch)
    found = made(*batch).layers
    assert [len(call.starts) for call in calls] == [3, 3]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="this upstream has layers 0 to 0"):
        bert(layer=3)
    with pytest.raises(ConfigError, match="width=15 must be a multiple of num_heads=2"):
        bert(width=15)
