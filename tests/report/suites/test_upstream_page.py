"""What the page of an encoder shows."""

from __future__ import annotations

import pytest

from audiossl.report.suites.parts import SitePlaces
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings
from audiossl.report.suites.upstream_page import upstream_facts


def test_an_encoder_has_its_tasks_costs_and_layers(found: SuiteResults, ranked: Standings) -> None:
    facts = upstream_facts(found, ranked, SitePlaces(found, ranked), "wave_large")
    assert [row["name"] for row in facts["rows"]] == found.tasks
    parts = [row["part"].key for row in facts["rows"]]
    assert sum(parts) / len(parts) == pytest.approx(ranked.scores["wave_large"].value)
    said = dict(facts["facts"])
    assert said["parameters"] == "316.0 M" and said["an hour of sound"] == "95 s"
    assert said["energy"] == "9.00 Wh of 6 of 6 cells" and "Libri-Light" in said["trained on, as its card says"]
    weights, norms = facts["layers"]
    assert "weight" in weights.caption and "norm" in norms.caption
    first = facts["wins"][0]
    assert (first["name"], first["text"]) == ("hf:models/wave-base", ">99")
    assert first["key"] == ranked.win("wave_large", "hf:models/wave-base")


def test_commands_repeat_it(found: SuiteResults, ranked: Standings) -> None:
    facts = upstream_facts(found, ranked, SitePlaces(found, ranked), "spectral")
    assert facts["commands"][0] == "audiossl suite run toy --upstream spectral --out results"
    assert "audiossl evaluate results/runs/digits/keywords/spectral/seed1 --split test" in facts["commands"]
    assert facts["layers"] == []


def test_what_an_encoder_lacks_is_said(found: SuiteResults, ranked: Standings) -> None:
    facts = upstream_facts(found, ranked, SitePlaces(found, ranked), "hf:broken")
    assert facts["missing"] == ["digits/keywords"] and len(facts["failures"]) == 2 and facts["wins"] == []
    assert "mean rank" not in dict(facts["facts"])
