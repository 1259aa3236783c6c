"""The first page: encoders in order, what they lack, and what a reader is warned of."""

from __future__ import annotations

from toys.suite_results import QUALITY

from audiossl.report.suites.index_page import index_facts
from audiossl.report.suites.parts import SitePlaces
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings


def test_encoders_come_in_the_order_of_their_mean_rank(found: SuiteResults, ranked: Standings) -> None:
    facts = index_facts(found, ranked, SitePlaces(found, ranked))
    text = str(facts)
    places = [text.index(name) for name in QUALITY]
    assert places[0] == min(places)
    assert ranked.order(found.upstreams)[: len(QUALITY)] == list(QUALITY)


def test_an_encoder_that_knows_the_corpora_is_named_once(found: SuiteResults, ranked: Standings) -> None:
    warnings = index_facts(found, ranked, SitePlaces(found, ranked))["warnings"]
    assert len(warnings) == len(ranked.warnings)
    for sentence, (upstream, tasks) in zip(warnings, ranked.warnings.items(), strict=True):
        assert sentence.startswith(f"{upstream}: ")
        assert all(task in sentence for task in tasks)
