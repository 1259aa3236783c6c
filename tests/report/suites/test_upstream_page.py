"""The page of an encoder: its figures, its cost, its layers, and the command that repeats them."""

from __future__ import annotations

from audiossl.report.suites.parts import SitePlaces
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings
from audiossl.report.suites.upstream_page import upstream_facts


def test_every_encoder_has_its_figures_and_a_command(found: SuiteResults, ranked: Standings) -> None:
    places = SitePlaces(found, ranked)
    for name in found.upstreams:
        text = str(upstream_facts(found, ranked, places, name))
        assert "audiossl suite run" in text
        has = [task for task, standing in ranked.tasks.items() if name in standing.figures]
        assert all(task in text for task in has)
