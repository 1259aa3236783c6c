"""Pictures of a site are SVG with text that can be read."""

from __future__ import annotations

from audiossl.report.suites.charts import heat_figure


def test_a_heat_map_has_a_row_for_each_task() -> None:
    svg = heat_figure({"words": [0.25, 0.75], "birds": [1.0, 0.0]}, 0, "weights")
    assert svg.lstrip().startswith("<svg")
    assert "words" in svg
    assert "birds" in svg
