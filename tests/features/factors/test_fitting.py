"""Factors are fitted on what is asked for, and the card says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import CheckpointError, ConfigError, TrainingError
from audiossl.features.factors import fitting
from audiossl.features.factors.config import FactorsOptions
from audiossl.features.factors.fitting import fit_factor_analysis
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.fitting import fit_units


def small(**options: object) -> FactorsOptions:
    return FactorsOptions(**{"clusters": 4, "rank": 3, "iterations": 3, "layer": "1", **options})  # type: ignore[arg-type]


def test_the_card_says_what_was_fitted(corpus: Path, toy_upstream: str) -> None:
    train = corpus / "train.jsonl.gz"
    factors = fit_factor_analysis(toy_upstream, [train], small(), command="audiossl factors fit ...")
    card = factors.card
    assert (card.layer, card.clusters, card.width, card.rank, card.num_recordings) == (1, 4, 8, 3, 18)
    assert card.log_likelihoods == sorted(card.log_likelihoods) and len(card.log_likelihoods) == 4
    assert (card.command, card.manifests) == ("audiossl factors fit ...", [str(train)])
    again = fit_factor_analysis(toy_upstream, [train], small())
    assert torch.equal(again.parameters.loadings, factors.parameters.loadings)


def test_units_that_are_there_say_the_layer(corpus: Path, toy_upstream: str, tmp_path: Path) -> None:
    train = [corpus / "train.jsonl.gz"]
    fit_units(toy_upstream, train, UnitsOptions(layer="2", clusters=3, starts=1)).save(tmp_path)
    given = small(layer="", units=str(tmp_path))
    assert fit_factor_analysis(toy_upstream, train, given).card.layer == 2
    with pytest.raises(ConfigError, match="--layer 1: the units of .* are of layer 2"):
        fit_factor_analysis(toy_upstream, train, small(units=str(tmp_path)))
    with pytest.raises(CheckpointError, match="are of layer 2 of toy_frames, and mfcc is another encoder"):
        fit_factor_analysis("mfcc", train, given)
    with pytest.raises(ConfigError, match="rank=99: 3 cluster"):
        fit_factor_analysis(toy_upstream, train, small(layer="", units=str(tmp_path), rank=99))


def test_states_must_be_finite(corpus: Path, toy_upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = [corpus / "train.jsonl.gz"]
    states = fitting.layer_states

    def broken(*arguments: object, **options: object) -> list[tuple[object, Tensor]]:
        return [(cut, found * torch.nan) for cut, found in states(*arguments, **options)]  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "layer_states", broken)
    with pytest.raises(TrainingError, match="Hidden states of the row .* are not finite, so no factors"):
        fit_factor_analysis(toy_upstream, train, small())
