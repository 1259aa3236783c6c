"""A folder of units: what was saved is loaded, and nothing that does not belong together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys.core import TrainedToy

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint, write_tensors
from audiossl.features.units.quantizer import Units, UnitsCard, is_units_folder


def units_of(name: str, **options: object) -> Units:
    upstream = load_upstream(name, **options)  # type: ignore[arg-type]
    card = UnitsCard(
        upstream=name,
        upstream_options=dict(options),
        upstream_class=type(upstream).__name__,
        upstream_fingerprint=fingerprint(upstream),
        layer=1,
        clusters=5,
        width=upstream.widths[-1],
        sample_rate_hz=16000,
        rate_hz=100.0,
        centre_s=0.005,
    )
    return Units(torch.randn(5, upstream.widths[-1], generator=torch.Generator().manual_seed(0)), card)


def test_loading_is_the_inverse_of_saving(tmp_path: Path, toy_upstream: str) -> None:
    units = units_of(toy_upstream, width=6)
    units.save(tmp_path)
    assert is_units_folder(tmp_path)
    found = Units.load(tmp_path)
    assert torch.equal(found.centres, units.centres)
    assert found.card == units.card
    assert found.facts == units.facts
    assert len(found) == found.facts.num_units == 5
    assert found.load_encoder().widths == (6, 6, 6)
    assert torch.equal(found.of_states(units.centres), torch.arange(5))


def test_another_encoder_is_refused(toy_upstream: str, tmp_path: Path) -> None:
    units = units_of(toy_upstream, width=6)
    units.check_encoder(units.load_encoder())
    for other in (load_upstream(toy_upstream), load_upstream("mfcc")):
        with pytest.raises(
            CheckpointError, match=r"are of layer 1 of toy_frames \(width=6\), and .* is another encoder"
        ):
            units.check_encoder(other)

    class Renamed(TrainedToy):
        pass

    with pytest.raises(CheckpointError, match="Renamed is another encoder or has other weights"):
        units.check_encoder(Renamed(TrainedToy.Config(width=6)))


def test_what_does_not_belong_together_is_an_error(tmp_path: Path, toy_upstream: str) -> None:
    with pytest.raises(CheckpointError, match="has no units.json, so no units"):
        Units.load(tmp_path)
    units = units_of(toy_upstream)
    units.save(tmp_path)
    write_tensors(tmp_path / "units.safetensors", {"centres": units.centres + 1}, {})
    with pytest.raises(CheckpointError, match="are not of the same units"):
        Units.load(tmp_path)
    write_tensors(tmp_path / "units.safetensors", {"centres": units.centres[:4]}, {})
    with pytest.raises(CheckpointError, match=r"has no centres \(5, 8\)"):
        Units.load(tmp_path)
    told = json.loads((tmp_path / "units.json").read_text())
    (tmp_path / "units.json").write_text(json.dumps({**told, "layer": "six"}))
    with pytest.raises(CheckpointError, match="does not say what its units are"):
        Units.load(tmp_path)


def test_the_fingerprint_is_of_centres_encoder_and_layer(toy_upstream: str) -> None:
    units = units_of(toy_upstream)
    others = [
        Units(units.centres + 1e-3, units.card),
        Units(units.centres, replace(units.card, layer=2)),
        Units(units.centres, replace(units.card, upstream_fingerprint="x")),
    ]
    assert len({each.card.fingerprint for each in [units, *others]}) == 4
    assert Units(units.centres, replace(units.card, command="x")).card.fingerprint == units.card.fingerprint
