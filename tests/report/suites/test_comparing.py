"""Two upstreams on every task: first minus second, whichever way round they are ranked."""

from __future__ import annotations

import json

import pytest

from audiossl.core.errors import UnknownNameError
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.comparing import compare_upstreams


def test_a_comparison_turned_round_has_the_other_sign(made: ResultsFolder) -> None:
    one, other = (
        compare_upstreams(made.path, *names) for names in (("wave_large", "spectral"), ("spectral", "wave_large"))
    )
    assert len(one.rows) == len(other.rows) == 5
    for first, second in zip(one.as_json()["tasks"], other.as_json()["tasks"], strict=True):
        here, there = first["difference"], second["difference"]
        assert here["value"] == -there["value"]
        assert (here["low"], here["high"]) == (-there["high"], -there["low"])
        assert here["p_value"] == there["p_value"]
        lower = first["metric"] in ("eer", "wer")
        assert (here["value"] < 0) == lower  # the first is the better one
    json.dumps(one.as_json())
    assert all(len(row) == 9 for row in one.rows)
    assert "mean rank" in one.notes[1]


def test_an_upstream_that_is_not_there_is_named(made: ResultsFolder) -> None:
    with pytest.raises(UnknownNameError, match="has no upstream 'wave_larg'.*wave_large"):
        compare_upstreams(made.path, "wave_larg", "spectral")
