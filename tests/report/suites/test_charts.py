"""Charts hold what they are drawn from, whatever names and numbers come."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from audiossl.metrics.verification import det_curve
from audiossl.report.suites.charts import Point, TriedLine, cost_figure, det_figure, heat_figure, tried_figure


def texts(svg: str) -> list[str]:
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return [element.text or "" for element in found]


def test_learning_rates_are_read_without_exponents() -> None:
    lines = [TriedLine("last", [1e-4, 1e-3, 1e-2], [70.0, 80.0, 75.0]), TriedLine("sum $x$", [1e-3], [82.0])]
    found = texts(tried_figure(lines, "learning rate", "dev accuracy (%)", 0))
    assert {"0.0001", "0.001", "0.01", "learning rate", "last", "sum $x$"} <= set(found)
    assert not [text for text in found if "mathdefault" in text]


@pytest.mark.parametrize("num", [3, 40])
def test_layers_are_read_by_name(num: int) -> None:
    names = [f"layer {number}" for number in range(num)]
    found = texts(tried_figure([TriedLine("interface", names, [float(n) for n in range(num)])], "interface", "dev", 1))
    marks = [text for text in found if text.startswith("layer")]
    assert len(marks) <= 16 and set(marks) <= set(names) and marks[0] == "layer 0"
    # A name stands under its own layer, also where others are left out.
    assert len(marks) == num or marks[1] == f"layer {1 + num // 16}"


def test_det_curves_are_on_the_scale_of_the_normal_distribution() -> None:
    targets = np.arange(200) % 2
    scores = np.random.default_rng(0).standard_normal(200) + targets
    curves = {"a<b>": det_curve(scores, targets), "perfect": det_curve(targets, targets)}
    svg = det_figure(curves, {"a<b>": 0, "perfect": 1})
    assert {"false alarms (%)", "misses (%)", "a<b>", "perfect", "0.5"} <= set(texts(svg))
    assert "nan" not in svg.lower() and "inf" not in svg.lower()


def test_costs_are_read_as_numbers() -> None:
    points = [Point("small", 5.0, 420.0, 400.0, 440.0, 0), Point("large", 316.0, 900.0, None, None, 1)]
    found = texts(cost_figure(points, "parameters (millions)", "score"))
    assert {"small", "large", "20", "100", "score"} <= set(found)


def test_a_heat_map_has_a_number_for_each_layer() -> None:
    svg = heat_figure({"a/b": [0.25, 0.75], "c/d": [0.5, 0.3, 0.2]}, 0, "weight of each layer")
    assert {"a/b", "c/d", "25", "75", "50", "30", "20", "layer"} <= set(texts(svg))
    norms = texts(heat_figure({"a/b": [3.14, 31.4]}, 0, "norm"))
    assert {"3.1", "31"} <= set(norms)
    many = texts(heat_figure({"a/b": [0.04] * 25}, 0, "weight"))
    assert "24" in many and "4" in many and many.count("4") == 1  # the axis alone
