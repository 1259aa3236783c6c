"""Units are fitted on what is asked for, and the card says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audiossl import UPSTREAMS, load_upstream
from audiossl.core.errors import ConfigError, ManifestError
from audiossl.encoders.testing import noise
from audiossl.encoders.weights import save_upstream
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.fitting import fit_units


def small(**options: object) -> UnitsOptions:
    return UnitsOptions(**{"clusters": 6, "starts": 2, "layer": "1", **options})  # type: ignore[arg-type]


def test_the_card_says_what_was_clustered(corpus: Path, toy_upstream: str) -> None:
    manifests = [corpus / "train.jsonl.gz", corpus / "dev.jsonl.gz"]
    units = fit_units(toy_upstream, manifests, small(), command="audiossl units fit ...")
    card = units.card
    assert units.centres.shape == (6, 8)
    assert (card.upstream, card.layer, card.rate_hz, card.num_recordings) == (toy_upstream, 1, 100.0, 27)
    assert card.centre_s == pytest.approx(79.5 / 16000)
    assert card.command == "audiossl units fit ..."
    assert card.manifests == [str(path) for path in manifests]
    assert 0 < card.distortion < float(units.centres.var()) * 8
    again = fit_units(toy_upstream, manifests, small())
    assert torch.equal(units.centres, again.centres)
    assert units.card.fingerprint == again.card.fingerprint
    assert fit_units(toy_upstream, manifests, small(seed=1)).card.fingerprint != units.card.fingerprint


def test_a_share_of_recordings_and_frames_is_drawn(corpus: Path, toy_upstream: str) -> None:
    manifests = [corpus / "train.jsonl.gz"]
    half = fit_units(toy_upstream, manifests, small(share=0.5)).card
    assert 2 <= half.num_recordings < 16
    few = fit_units(toy_upstream, manifests, small(max_gb=100 * 8 * 4 * 2.25 / 1e9)).card
    assert few.num_recordings == 18
    assert 98 <= few.num_frames <= 100
    with pytest.raises(ManifestError, match="share of 1e-09 of the recordings is none"):
        fit_units(toy_upstream, manifests, small(share=1e-9))


def test_a_layer_must_be_one_that_is_there(corpus: Path, toy_upstream: str) -> None:
    for layer, sentence in (("9", "layers 0 to 2"), ("0-1", "units are of one layer"), ("all", "of one layer")):
        with pytest.raises(ConfigError, match=sentence):
            fit_units(toy_upstream, [corpus / "dev.jsonl.gz"], small(layer=layer))


def test_cepstra_are_those_of_the_first_iteration(corpus: Path) -> None:
    options = UnitsOptions(clusters=4, starts=1)
    card = fit_units("mfcc", [corpus / "dev.jsonl.gz"], options, upstream_options={"cmvn": False}).card
    assert (card.width, card.rate_hz, card.layer) == (39, 100.0, 0)


def test_the_codes_of_an_encoder_that_quantises_are_units(corpus: Path, tmp_path: Path) -> None:
    options = {**UPSTREAMS.card("wav2vec").toy, "quantizer": "gumbel"}
    encoder = load_upstream("wav2vec", weights="random", **options)
    save_upstream(encoder, tmp_path / "vq.safetensors")
    units = fit_units(str(tmp_path / "vq.safetensors"), [corpus / "dev.jsonl.gz"], UnitsOptions(clusters=0))
    assert 1 < len(units) == units.card.clusters <= 64
    assert (units.card.layer, units.card.distortion) == (1, 0.0)
    assert units.card.num_frames > len(units)
    wav = noise(encoder, [0.4])[0][None]
    with torch.no_grad():
        states = encoder(wav).layers
        pairs = encoder.quantize(states[0], None).codes[0]  # type: ignore[operator]
    # Frames of known pairs of codes have one unit each, and different pairs have different ones.
    known = (states[1][0][:, None] == units.centres).all(-1)
    where = known.any(1)
    found, seen = units.of_states(states[1][0])[where], pairs[where]
    assert int(where.sum()) > 3
    assert torch.equal(found[:, None] == found, (seen[:, None] == seen).all(-1))
    for name, layer, said in (
        ("mfcc", "last", "mfcc has no codes of its own"),
        (str(tmp_path / "vq.safetensors"), "0", "are layer 1"),
    ):
        with pytest.raises(ConfigError, match=said):
            fit_units(name, [corpus / "dev.jsonl.gz"], UnitsOptions(clusters=0, layer=layer))
