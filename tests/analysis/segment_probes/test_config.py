"""Settings that cannot be are refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.core.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": "numbers", "probe": "logistic"}, "--probe logistic tells classes; take --probe ridge"),
        ({"metric": "pearson"}, "--metric pearson is none of classes; choose uar, accuracy, f1"),
        ({"controls": "flat"}, "--controls 'flat': choose of random_labels and flat_f0"),
        ({"disjoint": " "}, "--disjoint names no column"),
    ],
)
def test_what_cannot_be(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SegmentProbeOptions(**given)


def test_metrics() -> None:
    assert SegmentProbeOptions().score == "uar" and SegmentProbeOptions(kind="numbers").score == "pearson"
