"""What a fusion of several runs gives (`Downstream.fuse`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from audiossl.core.errors import AudiosslError
from audiossl.core.types import Metric
from audiossl.metrics.jackknife import Difference
from audiossl.training.task import Prediction

FusionWeights = Literal["dev", "equal"]  # what the weights of the runs are: fitted on dev, or all the same


class RunToFuse(NamedTuple):
    """What a fusion knows of a run.

    dev: its predictions of dev, sorted by id. Empty where nothing is fitted on them.
    test: those that become one, likewise.
    facts: what metrics.json says of those.
    """

    dev: list[Prediction]
    test: list[Prediction]
    facts: Mapping[str, Any]


class Fused(NamedTuple):
    """A fusion of R runs.

    predictions: as a run of the task would have them.
    metrics: of these.
    compared: the metric whose differences follow.
    differences: (R) the fusion minus each run, paired.
    facts: what was fitted, as JSON.
    """

    predictions: list[Prediction]
    metrics: dict[str, Metric]
    compared: str
    differences: list[Difference]
    facts: dict[str, Any]


def check_same_items(runs: Sequence[Sequence[Prediction]]) -> None:
    """Raise AudiosslError where the runs did not predict the same items in the same order, or by other targets."""
    for number, rows in enumerate(runs[1:], start=2):
        for ours, theirs in zip(runs[0], rows, strict=False):
            if ours["id"] != theirs["id"] or ours.get("target") != theirs.get("target"):
                raise AudiosslError(
                    f"The runs did not predict the same: where the first has {ours['id']!r} ({ours.get('target')}), "
                    f"run {number} has {theirs['id']!r} ({theirs.get('target')}); evaluate them on the same data."
                )
        if len(rows) != len(runs[0]):
            raise AudiosslError(
                f"The first run predicted {len(runs[0])} items and run {number} {len(rows)}; evaluate them on the same "
                f"data."
            )
