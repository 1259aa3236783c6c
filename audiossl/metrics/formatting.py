"""How a figure is written."""

from __future__ import annotations

from collections.abc import Mapping

from audiossl.core.types import Metric

FEW_CLUSTERS = 6  # below which an interval says next to nothing of others

# Shares of 1, written as percentages; the order is the order of the columns.
PERCENT = (
    *("accuracy", "ua", "wa", "uar", "f1", "map", "auroc", "eer"),
    *("overlap_f1", "onset_f1", "segment_f1", "overlap_f1_micro", "onset_f1_micro", "segment_f1_micro"),
    *("slot_type_f1", "slot_value_cer", "slot_f1", "slot_edit_f1", "slot type errors", "intent errors"),
    *("wer", "cer", "per", "substitutions", "deletions", "insertions"),
    *("r_value", "precision", "recall", "over_segmentation"),
)


def with_unit(name: str) -> str:
    """A column or axis title. What is before a full stop is whose figure it is.

    >>> with_unit("accuracy"), with_unit("loss"), with_unit("emotion.uar")
    ('accuracy (%)', 'loss', 'emotion.uar (%)')
    """
    return f"{name} (%)" if is_percent(name) else name


def is_percent(name: str) -> bool:
    """Whether a figure is a share of 1 that is written as a percentage."""
    return name.rpartition(".")[2] in PERCENT


def scaled(name: str, value: float) -> float:
    """The value in the unit of `with_unit`."""
    return 100 * value if is_percent(name) else value


def written(name: str, value: float | None) -> str:
    """A figure in the unit of `with_unit`, with one decimal (percent) or four significant digits."""
    if value is None:
        return ""
    return f"{scaled(name, value):.1f}" if is_percent(name) else f"{value:.4g}"


def intervals_note(metrics: Mapping[str, Metric]) -> str:
    """What stands under a table: over how many of what the intervals are, and what is special about them.

    >>> intervals_note({"uar": Metric(0.5, 0.2, 0.8, 4, "speaker")})
    '95 % intervals over 4 speakers, which is too few to tell much.'
    """
    found = {(metric.num_clusters, metric.cluster): None for metric in metrics.values() if metric.low is not None}
    parts = [clusters_written(num, kind) for num, kind in found if num is not None]
    few = any(num is not None and num < FEW_CLUSTERS for num, _ in found)
    sentences = [f"95 % intervals over {' or '.join(parts)}{', which is too few to tell much' if few else ''}."]
    remarks: dict[str, list[str]] = {}
    for name, metric in metrics.items():
        for remark in filter(None, metric.remark.split("; ")):
            remarks.setdefault(remark, []).append(name)
    for remark, names in remarks.items():
        whose = "" if len(names) == len(metrics) else f"{', '.join(names)}: "
        sentences.append(f"{whose}{remark}." if whose else f"{remark[0].upper()}{remark[1:]}.")
    return " ".join(sentences if parts else sentences[1:])


def clusters_written(num: int, kind: str) -> str:
    """
    >>> clusters_written(10, "speaker"), clusters_written(1, "item")
    ('10 speakers', '1 item')
    """
    return f"{num:,} {kind}{'' if num == 1 else 's'}"


def cells_written(name: str, metric: Metric) -> tuple[str, str, str]:
    """The cells of a terminal's table: title, figure and interval, in the unit of `with_unit`.

    >>> cells_written("uar", Metric(0.5, 0.4, 0.6))
    ('uar (%)', '50.0', '40.0 to 60.0')
    """
    known = metric.low is not None and metric.high is not None
    interval = f"{written(name, metric.low)} to {written(name, metric.high)}" if known else ""
    return with_unit(name), written(name, metric.value), interval


def interval_written(name: str, metric: Metric) -> str:
    """`[low, high]`, or nothing where there is no interval."""
    if metric.low is None or metric.high is None:
        return ""
    return f"[{written(name, metric.low)}, {written(name, metric.high)}]"
