"""The folder of an analysis."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from toys.layerwise import write_speakers

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.curves import LayerPoint
from audiossl.analysis.layerwise.study import study_layers
from audiossl.analysis.layerwise.writing import markdown, metric_of_point, peaks, write_study
from audiossl.core.pictures import is_picture
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import Estimate


def test_folder(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path)
    options = AnalyseOptions(clusters=0, moments=40, layers="0,-1")
    found = study_layers(["tera_mini"], [manifest], "layers,speakers", tmp_path / "out", options)
    figures = write_study(found, tmp_path / "out", {"command": "analyse"})
    assert [path.name for path in figures] == ["layers.png", "speakers.png", "all_layers_cka.png", "all_layers_rsa.png"]
    assert all(map(is_picture, figures))
    facts = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert facts["command"] == "analyse"
    assert facts["clusters"] == {"kind": "speaker", "number": 4}
    assert [each["role"] for each in facts["encoders"]] == ["asked", "random"]
    assert len(facts["grid"]["cka"]) == 4
    with open(tmp_path / "out" / "curves.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * (6 + 7)  # encoders, layers, measures of each view
    best = peaks(found, "speakers", "pwcca")[0]
    assert set(best.beside) == {"tera_mini, random"}
    assert peaks(found, "layers", "pwcca")[0].point.layer == 3  # and not the first, which is itself
    assert "## speakers" in markdown(found)
    assert "tera_mini, random: " in markdown(found)


def test_intervals_stay_on_their_scale() -> None:
    clusters = Clusters(np.arange(4), "speaker")
    estimate = Estimate(0.97, np.array([0.9, 0.99, 0.98, 0.96]))
    for measure in ("pwcca", "pnmi"):
        metric = metric_of_point(LayerPoint(0, "mel", measure, estimate, 9, "speaker"), clusters)
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low < 0.97 < metric.high <= 1
    nothing = metric_of_point(LayerPoint(0, "mel", "cka", Estimate(float("nan"), np.zeros(4)), 9, ""), clusters)
    assert nothing.low is None
    assert nothing.value != pytest.approx(nothing.value)
