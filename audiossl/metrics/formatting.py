"""How a figure is written."""

from __future__ import annotations

from audiossl.core.types import Metric

# Shares of 1, written as percentages; the order is the order of the columns.
PERCENT = (
    *("accuracy", "ua", "wa", "uar", "f1", "map", "auroc", "eer"),
    *("wer", "cer", "per", "substitutions", "deletions", "insertions"),
)


def with_unit(name: str) -> str:
    """A column or axis title.

    >>> with_unit("accuracy"), with_unit("loss")
    ('accuracy (%)', 'loss')
    """
    return f"{name} (%)" if name in PERCENT else name


def scaled(name: str, value: float) -> float:
    """The value in the unit of `with_unit`."""
    return 100 * value if name in PERCENT else value


def written(name: str, value: float | None) -> str:
    """A figure in the unit of `with_unit`, with one decimal (percent) or four significant digits."""
    if value is None:
        return ""
    return f"{scaled(name, value):.1f}" if name in PERCENT else f"{value:.4g}"


def interval_written(name: str, metric: Metric) -> str:
    """`[low, high]`, or nothing where there is no interval."""
    if metric.low is None or metric.high is None:
        return ""
    return f"[{written(name, metric.low)}, {written(name, metric.high)}]"
