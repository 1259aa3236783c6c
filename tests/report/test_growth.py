"""Label-fraction curves: which runs make one, and what is drawn of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from audiossl.core.types import Metric
from audiossl.report.growth import growth_charts


def run(subset: str, value: float, upstream: str = "tera_mini", folder: str = "sweep") -> Any:
    evaluation = SimpleNamespace(split="test", monitor="uar", metrics={"uar": Metric(value, value - 0.1, value + 0.1)})
    return SimpleNamespace(
        config={"data": {"subset": subset}},
        best_evaluation=evaluation,
        downstream="emotion",
        upstream=upstream,
        interface="last",
        has_random_weights=False,
        path=Path(folder) / subset,
        evaluations={"test": evaluation},
    )


def test_shares_and_minutes_have_a_chart_each() -> None:
    runs = [run("0.1", 0.3), run("50%", 0.6), run("10min", 0.4), run("1h", 0.7)]
    charts = list(growth_charts(runs))
    assert len(charts) == 2
    assert "training rows (%)" in charts[0][0]
    assert "training rows (minutes)" in charts[1][0]
    assert all("uar (%), 95 % interval" in svg for svg, _ in charts)


def test_one_amount_is_no_curve() -> None:
    assert list(growth_charts([run("0.1", 0.3), run("10%", 0.4), run("", 0.9)])) == []


def test_each_encoder_has_a_line() -> None:
    runs = [run(part, 0.5, name, name) for name in ("tera_mini", "log_mel") for part in ("0.1", "1")]
    ((svg, _),) = growth_charts(runs)
    assert "tera_mini, last" in svg
    assert "log_mel, last" in svg
